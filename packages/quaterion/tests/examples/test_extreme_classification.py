"""The guide to extreme classification: its program runs on some of the data."""

import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.slow
def test_added_classes_are_told_apart_and_nothing_is_forgotten(
    program: ModuleType, datasets_folder: Path, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--intents", "8", "--new", "3", "--per-intent", "12", "--shots", "4", "--seeds", "1", "--epochs", "8"]
    folders = ["--data-dir", str(datasets_folder / "banking77"), "--encoder", str(minilm_folder)]
    program.main([*few, *folders, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures, 4) in capsys.readouterr().out
    assert [row["method"] for row in figures["rows"]] == list(program.METHODS)
    for row in figures["rows"]:
        # 36 test questions of new classes and 60 of old ones: accuracy on all is the mean, weighted by that.
        assert row["all"] == pytest.approx((36 * row["new"] + 60 * row["old"]) / 96)
        assert row["new"] > 0.6 and row["old"] > 0.6  # 1/8 by chance
