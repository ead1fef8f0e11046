"""The journal: what it finds again, after a crash and after a change of version too."""

import importlib.metadata
import json

import torch

from quaterion.tuning import Recipe
from quaterion.tuning.search.journal import Journal
from quaterion.tuning.search.scoring import Score

SCORE = Score(0.5, per_query=torch.tensor([0.0, 1.0]), likelihood=torch.tensor([-1.0, -0.5]))


def test_what_follows_a_line_that_was_cut_off_is_whole(tmp_path):
    path = tmp_path / "trials.jsonl"
    recipe = Recipe()
    Journal(path, "data").add(recipe, 0, SCORE, 1.0)
    path.write_bytes(path.read_bytes()[:-20])
    after_the_crash = Journal(path, "data")
    for fold in (1, 2):
        after_the_crash.add(recipe, fold, SCORE, 1.0)
    again = Journal(path, "data")
    assert again.find(recipe, 0) is None
    assert [again.find(recipe, fold)[0].value for fold in (1, 2)] == [0.5, 0.5]
    assert path.read_text().count("\n") == 3


def test_another_version_tries_anew(tmp_path, monkeypatch):
    path = tmp_path / "trials.jsonl"
    Journal(path, "data").add(Recipe(), 0, SCORE, 1.0)
    assert Journal(path, "data").find(Recipe(), 0)
    monkeypatch.setattr("quaterion.tuning.search.journal.version", lambda name: importlib.metadata.version(name) + ".1")
    assert Journal(path, "data").find(Recipe(), 0) is None


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "trials.jsonl"
    recipe, other = Recipe(), Recipe(seed=1)
    Journal(path, "data").add(recipe, 0, SCORE, 1.0)
    Journal(path, "data").add(other, 0, Score(0.25, scored=(torch.ones(2), torch.zeros(2))), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    book = Journal(path, "data")
    found, seconds = book.find(recipe, 0)
    assert (found.value, seconds) == (0.5, 1.0)
    assert found.likelihood.tolist() == [-1.0, -0.5]
    assert book.find(other, 0) is None
    assert book.find(recipe, 1) is None
    assert Journal(path, "other data").find(recipe, 0) is None


def test_lines_that_are_none_of_ours_are_left_out(tmp_path):
    path = tmp_path / "trials.jsonl"
    lines = [
        [],
        {"key": 3, "score": {"value": 1}, "seconds": 1},
        {"key": "k", "score": {"value": "x"}, "seconds": 1},
        None,
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n", encoding="utf-8")
    assert not Journal(path, "data")._known
