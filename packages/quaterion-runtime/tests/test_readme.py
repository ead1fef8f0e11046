"""The README says what is so."""

import re
import shutil
from pathlib import Path

import pytest

import quaterion_runtime

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.is_file(), reason="the tests of a wheel have no README beside them")
def test_its_example_runs(golden, tmp_path, monkeypatch, capsys):
    shutil.copytree(golden / "text", tmp_path / "support-onnx")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)  # noqa: S102 - the code of our own README
    assert names["queries"].shape == (1, 4)
    assert capsys.readouterr().out.count("[") >= 2


@pytest.mark.skipif(not README.is_file(), reason="the tests of a wheel have no README beside them")
def test_it_names_all_that_there_is():
    text = README.read_text()
    missing = [name for name in quaterion_runtime.__all__ if name not in text and name != "__version__"]
    assert missing == []
