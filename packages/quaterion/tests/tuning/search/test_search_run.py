"""One search as a whole: what a recipe that is given is trained for."""

import pytest
import torch

from quaterion.tuning import Part, Recipe, TuningData
from quaterion.tuning.search.search_run import SearchRun
from quaterion.tuning.search.task import TuningTask
from quaterion.tuning.training.encoders import EncoderChoice
from quaterion_models.encoders import VectorEncoder

HEAD = Part("GatedHead")
GROUPS = Recipe(head=HEAD, losses=(Part("SoftmaxLoss"),), epochs=1)
PAIRS = Recipe(head=HEAD, losses=(Part("MultipleNegativesRankingLoss"),), epochs=1)


@pytest.mark.parametrize(
    ("form", "unseen_groups", "num_folds"),
    [("groups", False, 5), ("groups", True, 0), ("pairs", False, 0), ("scored pairs", False, 5)],
)
def test_a_recipe_is_trained_on_parts_only_where_something_is_calibrated_on_them(noisy, form, unseen_groups, num_folds):
    """Classifiers and matchers have a threshold; nothing else reads what was held out."""
    groups = form == "groups"
    samples = noisy.group_samples(10) if groups else noisy.pair_samples(40, scored=form == "scored pairs")
    run = SearchRun(
        TuningTask(TuningData(form, samples, None, [], [], {}), unseen_groups, seed=0),
        [EncoderChoice("vectors", {"default": VectorEncoder(32)}, None)],
        cache=None,
        journal=None,
        device=torch.device("cpu"),
        progress=None,
        on_trial=len,
        unfreeze=0,
    )
    outcome = run.take(GROUPS if groups else PAIRS)
    assert len(outcome.folds) == num_folds
    assert outcome.gain is None
