"""The last round: who wins, what it takes to beat the untouched encoder, and stopping in the middle."""

import time

import pytest
import torch

from quaterion.tuning import Part, Recipe, TuningData
from quaterion.tuning.search import outcome as outcomes
from quaterion.tuning.search.finals import Contender, Finals
from quaterion.tuning.search.scoring import Score
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.search.trial import Trial
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import VectorEncoder

SIZE = 32
GOOD = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), lr=0.05, epochs=30, batch_size=64)
BAD = Recipe(head=Part("StackedProjectionHead", {"output_sizes": [1]}), losses=(Part("SoftmaxLoss"),), epochs=1)


@pytest.fixture
def contenders(noisy):
    """A task, and makers of contenders and of a last round."""
    samples = noisy.group_samples(20)
    task = TuningTask(TuningData("groups", samples, None, [], [], {}), unseen_groups=False, seed=0)
    choice = EncoderChoice("vectors", {"default": VectorEncoder(SIZE)}, None)
    vectors = SampleVectors(choice.encoders, cache=None, device=torch.device("cpu"), progress=None)
    told = []

    def contender(number, recipe):
        return Contender(choice, vectors, Trial(number, recipe, "vectors", 0.5, [Score(0.0)], 0.0))

    def last_round(seconds=600.0):
        return Finals(task, time.monotonic() + seconds, told.append)

    return contender, last_round, told


def test_the_best_wins_whatever_its_place(contenders):
    contender, last_round, told = contenders
    outcome = last_round().decide(contender(0, Recipe()), [contender(1, BAD), contender(2, GOOD)])
    assert outcome.recipe == GOOD
    assert outcome.gain.real
    assert len(outcome.folds) > 1
    assert [(trial.number, trial.share) for trial in told] == [
        (0, 1.0),
        (1, 1.0),
        (2, 1.0),
    ]
    held_out = [sample for fold in outcome.folds for sample in fold.held_out.samples]
    assert len({tuple(sample.obj) for sample in held_out}) == len(held_out) == 120  # everything once


def test_none_better_leaves_the_encoder(contenders):
    contender, last_round, _ = contenders
    outcome = last_round().decide(contender(0, Recipe()), [contender(1, BAD)])
    assert outcome.recipe == Recipe()
    assert not outcome.gain.real


def test_class_weights_over_the_untouched_encoder_are_there_to_fall_back_on(contenders):
    contender, last_round, _ = contenders
    weights = Recipe(losses=(Part("SoftmaxLoss"),), lr=0.05, epochs=30, batch_size=64)
    outcome = last_round().decide(contender(0, Recipe()), [contender(1, BAD)], contender(2, weights))
    assert outcome.recipe == weights
    assert outcome.recipe.untouched
    assert not outcome.gain.real


def test_no_finalist_leaves_the_encoder_unmeasured(contenders):
    contender, last_round, _ = contenders
    outcome = last_round().decide(contender(0, Recipe()), [])
    assert outcome.recipe == Recipe()
    assert outcome.gain is None


def test_when_time_is_up_one_finalist_is_enough(contenders):
    contender, last_round, told = contenders
    last_round(seconds=-1).decide(contender(0, Recipe()), [contender(1, GOOD), contender(2, BAD)])
    assert [trial.number for trial in told] == [0, 1]


def test_stopped_in_the_middle(contenders, monkeypatch):
    contender, last_round, _ = contenders
    real = outcomes.train_on

    def train(recipe, fold):
        if recipe == BAD:
            raise KeyboardInterrupt
        return real(recipe, fold)

    monkeypatch.setattr(outcomes, "train_on", train)
    outcome = last_round().decide(contender(0, Recipe()), [contender(1, GOOD), contender(2, BAD)])
    assert outcome.recipe == GOOD
    assert outcome.notes == ["The search ended early: it was interrupted."]
    with pytest.raises(KeyboardInterrupt):
        last_round().decide(contender(0, Recipe()), [contender(2, BAD)])
