"""Metrics by the names that the command line has for them."""

import pytest

from quaterion.cli.evaluate_metrics import choose_metrics
from quaterion.dataset.files import Samples, read_samples
from quaterion.eval import GroupSampler, PairSampler

GROUPS = read_samples([{"text": "one", "group": "a"}])
PAIRS = read_samples([{"anchor": "one", "positive": "two"}])


def scored(*scores: float) -> Samples:
    return read_samples([{"left": f"a{place}", "right": "b", "score": score} for place, score in enumerate(scores)])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (GROUPS, ["recall@3", "mrr", "r_precision", "map@r"]),
        (PAIRS, ["recall@3", "mrr"]),
        (scored(0, 0.5, 1), ["spearman", "pearson"]),
        (scored(0, 1), ["average_precision", "best_f1", "roc_auc"]),
    ],
)
def test_without_names_the_metrics_suit_the_data(samples: Samples, expected: list[str]) -> None:
    assert list(choose_metrics(samples, names=[], ks=[3]).metrics) == expected


def test_every_k_is_a_metric_of_its_own_and_only_once() -> None:
    evaluator = choose_metrics(GROUPS, names=["precision", "ndcg", "precision"], ks=[2, 5, 2])
    assert {name: metric.k for name, metric in evaluator.metrics.items()} == {
        "precision@2": 2,
        "precision@5": 5,
        "ndcg@2": 2,
        "ndcg@5": 5,
    }


def test_names_may_be_written_with_hyphens_and_capitals() -> None:
    assert list(choose_metrics(GROUPS, names=["R-Precision", "MRR"], ks=[1]).metrics) == ["r_precision", "mrr"]


def test_sample_and_seed_reach_the_sampler_and_pairs_search_one_side_for_the_other() -> None:
    groups = choose_metrics(GROUPS, names=[], ks=[1], sample=7, seed=3).sampler
    pairs = choose_metrics(PAIRS, names=[], ks=[1], sample=7, seed=3).sampler
    assert isinstance(groups, GroupSampler) and isinstance(pairs, PairSampler)
    assert (groups.sample_size, groups.seed) == (pairs.sample_size, pairs.seed) == (7, 3)
    assert pairs.distinguish
    assert choose_metrics(GROUPS, names=[], ks=[1]).sampler.sample_size == -1


def test_a_metric_of_other_data_is_refused_with_those_that_fit() -> None:
    with pytest.raises(ValueError, match="no metric 'mrr' of scored pairs. Expected --metric with one of spearman"):
        choose_metrics(scored(0, 1), names=["mrr"], ks=[1])
    with pytest.raises(ValueError, match="no metric 'roc_auc' of pairs. .* one of recall, precision, ndcg, mrr"):
        choose_metrics(PAIRS, names=["roc_auc"], ks=[1])


def test_scored_pairs_are_not_sampled() -> None:
    with pytest.raises(ValueError, match="--sample draws texts to search with, and scored pairs are not searched"):
        choose_metrics(scored(0, 1), names=[], ks=[1], sample=5)
