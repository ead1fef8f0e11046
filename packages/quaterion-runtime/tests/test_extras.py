import json

import pytest

from quaterion_runtime.extras import require


def test_a_module_that_is_here_is_imported():
    assert require("json", extra="images") is json
    assert require("json.decoder", extra="images") is json.decoder


def test_one_that_is_not_says_what_to_type():
    with pytest.raises(
        ImportError, match=r'nowhere is not installed\. Type: pip install "quaterion-runtime\[images\]"'
    ) as e:
        require("nowhere.inside", extra="images")
    assert e.value.name == "nowhere"


def test_an_error_within_a_module_is_its_own(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere_at_all'"):
        require("broken_module", extra="images")
