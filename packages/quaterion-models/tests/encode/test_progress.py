import sys

import pytest

from quaterion_models.encode.progress import progress_bar


def test_a_progress_bar_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'rich is not installed. Type: pip install "quaterion-models\[progress\]"'):
        progress_bar(3, enabled=True).__enter__()


def test_a_bar_without_a_known_end_counts(capsys):
    with progress_bar(None, enabled=True) as advance:
        advance(2)
        advance(5)
    assert "7/?" in capsys.readouterr().err
