"""The page about predictions: every block runs, one after the other, with the real encoder."""

import csv
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models.predict import Matcher

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "predicting.md"
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def table(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_block_of_the_page_runs(
    minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed, answered = [], []
    assert [kind for kind, _ in BLOCKS].count("python") >= 6
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block.replace("sentence-transformers/all-MiniLM-L6-v2", str(minilm_folder)), names)  # noqa: S102
            printed += capsys.readouterr().out.splitlines()
            continue
        for line in block.splitlines():
            command, *words = shlex.split(line)
            assert command == "quaterion"
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output
            answered.append(done.stdout)
    assert [line.split()[0] for line in printed[:3]] == ["card", "None", "weather"]
    assert printed[3].startswith("ThresholdCalibration(threshold=")
    assert "['card', 'top-up', 'weather']" in printed
    assert [line.split(" = ")[0] for line in printed[-3:]] == ["red bicycle", "black leather shoes", "kitchen table"]
    assert next(csv.DictReader(answered[0].splitlines()))["label"] == "card"
    assert [row["label"] for row in table("answers.csv")] == ["card", "top-up"]
    assert len(answered[2].splitlines()) == 2
    assert Matcher.load("support-model").calibration is not None
    found = [(row["left_row"], row["right_row"]) for row in table("matches.csv")]
    assert found == [("1", "2"), ("2", "3"), ("3", "1")]
