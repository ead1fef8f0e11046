import math
from itertools import combinations, groupby, product
from statistics import fmean

import pytest
import torch
from sklearn.metrics import ndcg_score

from quaterion.functional import retrieval
from quaterion.functional.ranked_lists import rank
from quaterion.functional.retrieval import (
    average_precision_at_r,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    reciprocal_rank,
)


def arrangements(similarity, relevant):
    """Every list of hits that some order of the tied candidates gives; all are equally likely."""
    order = sorted(range(len(similarity)), key=lambda i: -similarity[i])
    ties = [[relevant[i] for i in tie] for _, tie in groupby(order, key=lambda i: similarity[i])]
    placements = [
        [[place in hits for place in range(len(tie))] for hits in combinations(range(len(tie)), sum(tie))]
        for tie in ties
    ]
    for chosen in product(*placements):
        yield [hit for tie in chosen for hit in tie]


SCORES = {
    "precision": (lambda lists: precision_at_k(lists, 3), lambda hits: sum(hits[:3]) / 3),
    "recall": (lambda lists: hit_rate_at_k(lists, 3), lambda hits: float(any(hits[:3]))),
    "r_precision": (r_precision, lambda hits: sum(hits[: sum(hits)]) / sum(hits)),
    "reciprocal_rank": (reciprocal_rank, lambda hits: 1 / (hits.index(True) + 1)),
    "map_at_r": (
        average_precision_at_r,
        lambda hits: sum(sum(hits[: i + 1]) / (i + 1) for i in range(sum(hits)) if hits[i]) / sum(hits),
    ),
    "ndcg": (
        lambda lists: ndcg_at_k(lists, 3),
        lambda hits: (
            sum(h / math.log2(i + 2) for i, h in enumerate(hits[:3]))
            / sum(1 / math.log2(i + 2) for i in range(min(3, sum(hits))))
        ),
    ),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("levels", [1, 2, 4, 1000])
def test_a_score_is_its_mean_over_all_orders_of_the_ties(name, levels):
    compute, of_one_order = SCORES[name]
    generator = torch.Generator().manual_seed(levels)
    similarity = torch.randint(levels, (40, 8), generator=generator).float() - levels / 2  # about half negative
    relevant = torch.rand(40, 8, generator=generator) < 0.4
    relevant[:, 0] |= ~relevant.any(dim=1)
    scores = compute(rank(similarity, relevant, depth=8))
    for row in range(40):
        expected = fmean(map(of_one_order, arrangements(similarity[row].tolist(), relevant[row].tolist())))
        assert scores[row].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_ideal_lists_score_exactly_one_whatever_is_tied(name):
    # Seven relevant candidates with ties among themselves, then irrelevant ones with ties among themselves.
    similarity = torch.tensor([[0.9, 0.9, 0.9, 0.7, 0.5, 0.5, 0.3, -0.1, -0.1, -0.4]] * 3)
    relevant = torch.tensor([[True] * 7 + [False] * 3])
    assert SCORES[name][0](rank(similarity, relevant.expand(3, -1), depth=8)).tolist() == [1.0] * 3


@pytest.mark.parametrize("name", SCORES)
def test_a_query_with_nothing_relevant_has_no_score(name):
    similarity = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    relevant = torch.tensor([[False, False, False], [True, True, True]])
    scores = SCORES[name][0](rank(similarity, relevant, depth=3))
    assert scores.isnan().tolist() == [True, False]


@pytest.mark.parametrize("name", SCORES)
def test_the_order_of_the_candidates_does_not_matter(name):
    generator = torch.Generator().manual_seed(7)
    similarity = torch.randint(4, (30, 9), generator=generator).float()
    relevant = torch.rand(30, 9, generator=generator) < 0.5
    shuffled = torch.randperm(9, generator=generator)
    compute = SCORES[name][0]
    scores = compute(rank(similarity, relevant, depth=9))
    assert torch.equal(
        scores.nan_to_num(-1), compute(rank(similarity[:, shuffled], relevant[:, shuffled], depth=9)).nan_to_num(-1)
    )


@pytest.mark.parametrize("k", [1, 5, 20])
def test_ndcg_agrees_with_scikit_learn_ties_included(k):
    generator = torch.Generator().manual_seed(k)
    for similarity in (torch.randn(50, 20, generator=generator), torch.randint(5, (50, 20), generator=generator) - 2.0):
        relevant = torch.rand(50, 20, generator=generator) < 0.3
        relevant[:, 0] = True
        scores = ndcg_at_k(rank(similarity, relevant, depth=k), k)
        expected = [ndcg_score(relevant[i : i + 1].numpy(), similarity[i : i + 1].numpy(), k=k) for i in range(50)]
        assert scores.tolist() == pytest.approx(expected, abs=1e-12)


def test_a_model_that_maps_everything_to_one_point_scores_no_better_than_chance():
    # Of 1,000 candidates 10 are relevant and all are tied.
    similarity = torch.zeros(2, 1000)
    relevant = torch.arange(1000).expand(2, -1) < 10
    lists = rank(similarity, relevant, depth=10)
    assert precision_at_k(lists, 10).tolist() == [0.01, 0.01]
    none_of_ten = math.prod((990 - i) / (1000 - i) for i in range(10))
    assert hit_rate_at_k(lists, 10)[0].item() == pytest.approx(1 - none_of_ten, rel=1e-12)
    chance = sum(
        math.comb(1000 - rank_of_first, 9) / math.comb(1000, 10) / rank_of_first for rank_of_first in range(1, 992)
    )
    assert reciprocal_rank(lists)[0].item() == pytest.approx(chance, rel=1e-12)


def test_large_ties_are_worked_off_in_parts(monkeypatch):
    generator = torch.Generator().manual_seed(8)
    similarity = torch.randint(3, (60, 50), generator=generator).float()
    relevant = torch.rand(60, 50, generator=generator) < 0.05
    lists = rank(similarity, relevant, depth=4)
    at_once = torch.stack([reciprocal_rank(lists), hit_rate_at_k(lists, 4)]).nan_to_num(-1)
    monkeypatch.setattr(retrieval, "CHUNK_ENTRIES", 60)
    assert torch.equal(torch.stack([reciprocal_rank(lists), hit_rate_at_k(lists, 4)]).nan_to_num(-1), at_once)
