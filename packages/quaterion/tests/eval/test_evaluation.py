import torch

from quaterion.eval.evaluation import Evaluation
from quaterion.functional.bootstrap import bootstrap_mean


def test_intervals_are_those_of_the_scores_that_count():
    scores = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores[3] = torch.nan
    evaluation = Evaluation({}, {"p": scores}, torch.arange(40), num_queries=40, num_left_out=1)
    assert evaluation.intervals() == {"p": bootstrap_mean(scores[~scores.isnan()])}
    narrow = evaluation.intervals(confidence=0.5, resamples=300, seed=9)["p"]
    assert narrow == bootstrap_mean(scores, confidence=0.5, resamples=300, seed=9)
