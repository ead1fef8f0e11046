"""Halving, the clock, and going on from a journal."""

import time

import pytest
import torch

from quaterion.tuning import Part, Recipe
from quaterion.tuning.search.halving import Halving
from quaterion.tuning.search.journal import Journal
from quaterion.tuning.training.fold import Fold
from quaterion.tuning.training.vectors import SampleVectors
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
        return Halving("vectors", folds, metric="accuracy", unseen=False, journal=book, deadline=deadline, **options)

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

    monkeypatch.setattr("quaterion.tuning.training.fold.train_head", never)
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
