"""The guide to anomaly detection: its program runs on some of the data."""

import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.slow
def test_hidden_intents_and_other_topics_are_farther_away_than_known_intents(
    program: ModuleType, datasets_folder: Path, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere.csv").write_text("A man plays a guitar.,x,1\nTwo dogs run on a beach.,x,1\n")
    few = ["--intents", "12", "--hidden", "4", "--per-intent", "20", "--seeds", "1", "--epochs", "8"]
    folders = ["--data-dir", str(datasets_folder / "banking77"), "--encoder", str(minilm_folder)]
    files = ["--elsewhere", str(tmp_path / "elsewhere.csv"), "--json", str(tmp_path / "figures.json")]
    program.main([*few, *folders, *files])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures) in capsys.readouterr().out
    rows = {(row["method"], row["outside"]): row for row in figures["rows"]}
    assert list(rows) == [(method, outside) for method in program.METHODS for outside in ("hidden", "elsewhere")]
    assert all(row["auroc"] > 0.7 for row in rows.values())  # 0.5 by chance
    for shown in figures["histograms"].values():
        assert (sum(shown["known"]), sum(shown["hidden"])) == (8 * 20, 4 * 20)
    # Calibrated to turn away 5 % of the 32 questions for validation: 1 of them at the most.
    assert all(row["false_alarms"] < 0.25 for row in rows.values())
