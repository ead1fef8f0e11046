"""The journal after a crash, and after a change of version."""

import importlib.metadata

import torch

from quaterion.tuning import Recipe
from quaterion.tuning.journal import Journal
from quaterion.tuning.scoring import Score

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
    monkeypatch.setattr("quaterion.tuning.journal.version", lambda name: importlib.metadata.version(name) + ".1")
    assert Journal(path, "data").find(Recipe(), 0) is None
