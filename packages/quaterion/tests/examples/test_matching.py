"""The guide to matching: its program runs on some of the data."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


def test_no_two_parts_share_a_name_and_a_third_of_what_is_looked_for_is_not_there(program: ModuleType) -> None:
    older = {f"new {number} {twin}": f"old {number}" for number in range(100) for twin in "ab"}
    parts = program.split([f"old {number}" for number in range(200)], older, seed=0)
    looked_for = [{older[name] for name in part} for part in parts[:3]]
    assert [len(part) for part in looked_for] == [60, 20, 20]
    assert set.union(*looked_for) == set(older.values())
    missing = {f"old {number}" for number in range(200)} - set(parts.catalogue)
    assert [len(missing & part) for part in looked_for] == [0, 7, 7]


def test_precision_and_recall_count_names_whose_match_is_missing(program: ModuleType) -> None:
    older = {"a": "A", "b": "B", "c": "C"}
    # b's match is not in the catalogue.
    found = [program.Found("A", 0.5), program.Found("A", 0.9), program.Found("C", 0.7)]
    judged = program.judge(["a", "b", "c"], found, older, ["A", "C", "D"])
    assert judged.similarities.tolist() == [0.9, 0.7, 0.5]
    assert judged.precision.tolist() == pytest.approx([0, 1 / 2, 2 / 3])
    assert judged.recall.tolist() == [0, 1 / 2, 1]
    measured = program.measure(judged, judged, precision=0.6)
    assert measured["threshold"] == 0.5
    assert measured["average precision"] == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.slow
def test_the_trained_head_finds_more_than_the_untouched_encoder(
    program: ModuleType, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("autofj") is None:
        pytest.skip("needs the data of a package: pip install --no-deps autofj==0.0.6")
    few = ["--kinds", "ShoppingMall", "--seeds", "1", "--epochs", "10", "--precision", "0.7"]
    program.main([*few, "--encoder", str(minilm_folder), "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures) in capsys.readouterr().out
    assert [row["method"] for row in figures["rows"]] == list(program.METHODS)
    precision = {row["method"]: row["average precision"] for row in figures["rows"]}
    assert precision["head"] > precision["meaning"] + 0.1
