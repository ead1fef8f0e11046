import copy
import math
import pickle

import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.group import (
    NDCG,
    GroupMetric,
    MeanAveragePrecisionAtR,
    RetrievalPrecision,
    RetrievalRecall,
    RetrievalReciprocalRank,
    RetrievalRPrecision,
)

METRICS = {
    "precision": lambda **options: RetrievalPrecision(2, **options),
    "recall": lambda **options: RetrievalRecall(2, **options),
    "ndcg": lambda **options: NDCG(2, **options),
    "r_precision": RetrievalRPrecision,
    "map_at_r": MeanAveragePrecisionAtR,
    "reciprocal_rank": RetrievalReciprocalRank,
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("levels", [1, 100])
def test_it_equals_brute_force_with_ties_and_negative_similarities(name, distance, levels, brute_force):
    # Coordinates of −1, 0 and 1 tie often, zero vectors included; those of 201 levels hardly ever.
    generator = torch.Generator().manual_seed(levels)
    points = torch.randint(-levels, levels + 1, (10, 2), generator=generator).float()
    groups = torch.randint(4, (10,), generator=generator)
    expected = brute_force.group_scores(name, points, groups, k=2, distance=distance)
    metric = METRICS[name](distance_metric_name=distance, reduce_func=None)
    scores = metric.compute(points, groups)
    assert scores.tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    counted = [score for score in expected if not math.isnan(score)]
    mean = METRICS[name](distance_metric_name=distance).compute(points, groups)
    assert mean.item() == pytest.approx(sum(counted) / len(counted), abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN])
@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1e5])
def test_the_scale_of_the_embeddings_does_not_matter(name, distance, scale, brute_force):
    # Of distances of a millionth, 1 / (1 + d) is 1 in float32.
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(7))
    groups = torch.arange(12) % 4
    metric = METRICS[name](distance_metric_name=distance, reduce_func=None)
    expected = torch.tensor(brute_force.group_scores(name, points, groups, k=2, distance=distance))
    assert torch.allclose(metric.compute(scale * points, groups), expected, atol=1e-6)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("distance", list(Distance))
def test_perfect_embeddings_score_exactly_one_duplicates_or_not(name, distance):
    # Three directions of one length, each object near its own; half of the objects are copies of others.
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(3).repeat(100)
    points = torch.eye(3)[groups] + 0.01 * torch.rand(300, 3, generator=generator)
    points[150:] = points[:150]
    points = points / points.norm(dim=1, keepdim=True)
    shuffled = torch.randperm(300, generator=generator)
    metric = METRICS[name](distance_metric_name=distance)
    assert torch.equal(metric.compute(points[shuffled], groups[shuffled]), torch.tensor(1.0))
    assert torch.equal(metric.compute(torch.eye(3)[groups], groups), torch.tensor(1.0))


def test_objects_alone_in_their_group_are_left_out_counted_and_still_found():
    points = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.9, 0.3]])
    metric = RetrievalPrecision(k=1)
    # Object 2 is alone; it is the nearest to both others, so neither finds its companion first.
    assert metric.compute(points, torch.tensor([0, 0, 1])) == 0.0
    assert metric.num_left_out == 1
    metric.reduce_func = None
    assert metric.compute(points, torch.tensor([0, 0, 1])).isnan().tolist() == [False, False, True]


@pytest.mark.parametrize("name", METRICS)
def test_what_came_in_parts_is_evaluated_as_one_set(name):
    generator = torch.Generator().manual_seed(1)
    points, groups = torch.randn(50, 4, generator=generator), torch.randint(8, (50,), generator=generator)
    metric = METRICS[name](reduce_func=None)
    whole = metric.compute(points, groups)
    for part in torch.arange(50).split(10):
        metric.update(points[part], groups[part])
    assert torch.equal(metric.evaluate().nan_to_num(-1), whole.nan_to_num(-1))
    assert torch.equal(metric.evaluate().nan_to_num(-1), whole.nan_to_num(-1))  # evaluating forgets nothing
    # A mean of batches would be another number.
    means = torch.stack([metric.compute(points[part], groups[part]).nanmean() for part in torch.arange(50).split(10)])
    assert not torch.isclose(means.nanmean(), whole.nanmean())


def test_a_reset_forgets_everything():
    metric = RetrievalRPrecision()
    metric.update(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    metric.reset()
    with pytest.raises(UnscorableSetError, match=r"RetrievalRPrecision.evaluate\(\) was called before update"):
        metric.evaluate()


def test_computing_leaves_what_was_gathered_alone():
    metric = RetrievalRPrecision()
    metric.update(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
    metric.compute(torch.eye(4), torch.tensor([0, 1, 0, 1]))
    assert metric.evaluate() == 1.0


def test_gathered_embeddings_keep_no_graph():
    metric = RetrievalRPrecision()
    points = torch.randn(4, 2, requires_grad=True)
    metric.update(points * 2, torch.tensor([0, 1, 0, 1]))
    assert not metric.evaluate().requires_grad
    assert points.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_embeddings_of_any_float_type_give_float32(dtype):
    value = RetrievalRPrecision().compute(torch.eye(2, dtype=dtype)[[0, 1, 0, 1]], torch.tensor([0, 1, 0, 1]))
    assert torch.equal(value, torch.tensor(1.0))


def test_copies_and_pickles_carry_what_was_gathered():
    metric = RetrievalPrecision(k=1)
    metric.update(torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 0, 1]))
    assert copy.deepcopy(metric).evaluate() == pickle.loads(pickle.dumps(metric)).evaluate() == 1.0


def test_a_metric_of_ones_own_needs_a_depth_and_a_score():
    class Found(GroupMetric):
        """Whether the first candidate is relevant beyond doubt."""

        depth = 1

        def score(self, lists):
            sure = (lists.tie_relevant[:, 0] == lists.tie_size[:, 0]).double()
            return sure.where(lists.num_relevant > 0, torch.nan)

    points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    # Each of the first three has two equal neighbours of which only one (or none, for the third) is relevant.
    assert Found(reduce_func=None).compute(points, torch.tensor([0, 0, 1, 1, 1])).tolist() == [0, 0, 0, 1, 1]
