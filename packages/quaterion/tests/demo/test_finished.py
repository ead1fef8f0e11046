"""Training is left out only where it would give the model that is there."""

from pathlib import Path

import pytest

from quaterion.demo.corpus import Entry
from quaterion.demo.finished import is_finished, write_finished

ENTRIES = [Entry("m.f", "function", "()", "Does f."), Entry("m.g", "function", "()", "Does g.")]
SETTINGS = {"epochs": 3, "seed": 0}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "model" / "head").mkdir(parents=True)
    (tmp_path / "model" / "head" / "weights").write_bytes(b"123")
    write_finished(tmp_path, ENTRIES, SETTINGS)
    return tmp_path


def test_the_same_is_finished(out: Path) -> None:
    assert is_finished(out, list(ENTRIES), dict(SETTINGS))


def test_other_settings_or_entries_are_not(out: Path) -> None:
    assert not is_finished(out, ENTRIES, SETTINGS | {"epochs": 4})
    assert not is_finished(out, ENTRIES[:1], SETTINGS)
    assert not is_finished(out, [ENTRIES[0], Entry("m.g", "function", "(a)", "Does g.")], SETTINGS)


def test_a_changed_or_missing_model_is_not(out: Path) -> None:
    weights = out / "model" / "head" / "weights"
    weights.write_bytes(b"124")
    assert not is_finished(out, ENTRIES, SETTINGS)
    weights.unlink()
    assert not is_finished(out, ENTRIES, SETTINGS)


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_no_record_or_a_broken_one_is_not(out: Path, content: str | None) -> None:
    (out / "finished.json").unlink()
    if content is not None:
        (out / "finished.json").write_text(content)
    assert not is_finished(out, ENTRIES, SETTINGS)
