"""docs/how-to/predicting.md: what its blocks print and answer."""

import csv
from pathlib import Path

from quaterion_models.predict import Matcher


def table(name):
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check(run):
    assert [line.split()[0] for line in run.printed[:3]] == ["card", "None", "weather"]
    assert run.printed[3].startswith("ThresholdCalibration(threshold=")
    assert "['card', 'top-up', 'weather']" in run.printed
    assert [line.split(" = ")[0] for line in run.printed[-3:]] == [
        "red bicycle",
        "black leather shoes",
        "kitchen table",
    ]
    assert next(csv.DictReader(run.answers[0].splitlines()))["label"] == "card"
    assert [row["label"] for row in table("answers.csv")] == ["card", "top-up"]
    assert len(run.answers[2].splitlines()) == 2
    assert Matcher.load("support-model").calibration is not None
    found = [(row["left_row"], row["right_row"]) for row in table("matches.csv")]
    assert found == [("1", "2"), ("2", "3"), ("3", "1")]
