"""Halving, the clock, and the journal that a stopped search goes on from."""

import json
import math
import time

import pytest
import torch

from quaterion.tuning import Part, Recipe, journal
from quaterion.tuning.budget import seconds_of
from quaterion.tuning.journal import Journal
from quaterion.tuning.scoring import Score
from quaterion.tuning.search import Fold, Search
from quaterion.tuning.vectors import SampleVectors
from quaterion_models.encoders import VectorEncoder

SIZE = 32


def recipes(count):
    rates = [0.0003 * 3**place for place in range(count)]
    return [
        Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), lr=lr, epochs=10, batch_size=64) for lr in rates
    ]


@pytest.fixture
def search(noisy):
    vectors = SampleVectors({"default": VectorEncoder(SIZE)}, cache=None, device=torch.device("cpu"), progress=None)
    folds = [
        Fold(vectors, noisy.group_samples(10, seed=seed), noisy.group_samples(5, seed=seed + 9)) for seed in (0, 1)
    ]

    def make(path=None, seconds=600.0, **options):
        deadline = time.monotonic() + seconds
        book = Journal(path, "data")
        return Search("vectors", folds, metric="accuracy", unseen=False, journal=book, deadline=deadline, **options)

    return make


def test_the_better_part_gets_further(search):
    told = []
    one = search(tell=lambda trials: told.append(len(trials)))
    untouched = one.score_untouched()
    one.halve(recipes(8))
    assert untouched.number == 0
    shares = [trial.share for number, trial in sorted(one.trials.items()) if number]
    assert sorted(shares) == [0.2] * 5 + [0.5] * 3
    # Those that went on are the best of the first round, which the journal's scores tell again.
    first = search()
    first.halve(recipes(8))
    assert max(trial.share for trial in first.trials.values()) == 0.5
    assert {trial.recipe.epochs for trial in one.trials.values() if trial.recipe.losses} == {10}
    assert told == [*range(1, 10), *[9] * 3]  # 8 at first, 3 of them again
    assert not one.stopped


def test_the_clock_ends_it_with_what_there_is(search):
    one = search(seconds=0.0)
    one.score_untouched()
    one.halve(recipes(3))
    assert list(one.trials) == [0, 1]  # one recipe is tried in any case
    assert "time" in one.stopped


def test_what_was_tried_is_not_tried_again(search, tmp_path, monkeypatch):
    path = tmp_path / "trials.jsonl"
    first = search(path)
    first.score_untouched()
    first.halve(recipes(4))

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("quaterion.tuning.search.train_head", never)
    second = search(path)
    second.score_untouched()
    second.halve(recipes(4))
    for number, trial in first.trials.items():
        again = second.trials[number]
        assert (again.recipe, again.share) == (trial.recipe, trial.share)
        assert again.choice == pytest.approx(trial.choice, rel=1e-5)
        assert again.value == pytest.approx(trial.value)
    with pytest.raises(AssertionError, match="trained again"):
        search(path).halve([recipes(5)[-1]])


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "trials.jsonl"
    recipe, other = recipes(2)
    score = Score(0.5, per_query=torch.tensor([0.0, 1.0]), likelihood=torch.tensor([-1.0, -0.5]))
    Journal(path, "data").add(recipe, 0, score, 1.0)
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
    assert journal.__doc__


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("0.5h", 1800), (5, 5), ("7", 7), (" 3 min ", 180)]
)
def test_times(text, seconds):
    assert math.isclose(seconds_of(text), seconds)


@pytest.mark.parametrize("text", ["", "0s", "-3", "soon", "3d", "nan"])
def test_no_times(text):
    with pytest.raises(ValueError, match="expected a time above 0"):
        seconds_of(text)
