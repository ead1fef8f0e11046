import copy
import math

import pytest
import torch

from quaterion.batch import PairTargets
from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.pair import (
    NDCG,
    MeanAveragePrecisionAtR,
    RetrievalPrecision,
    RetrievalRecall,
    RetrievalReciprocalRank,
    RetrievalRPrecision,
)

METRICS = {
    "precision": lambda **options: RetrievalPrecision(2, **options),
    "recall": lambda **options: RetrievalRecall(2, **options),
    "reciprocal_rank": RetrievalReciprocalRank,
    "r_precision": RetrievalRPrecision,
    "map_at_r": MeanAveragePrecisionAtR,
    "ndcg": lambda **options: NDCG(2, **options),
}
NO_SUBGROUPS = torch.empty(0, dtype=torch.int64)


def first_with_second(count):
    rows = torch.arange(count)
    return torch.stack([rows, rows + count], dim=1)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("levels", [1, 100])
@pytest.mark.parametrize("with_ids", [False, True])
def test_it_equals_brute_force_with_ties_and_negative_similarities(name, distance, levels, with_ids, brute_force):
    generator = torch.Generator().manual_seed(levels)
    points = torch.randint(-levels, levels + 1, (11, 2), generator=generator).float()  # five pairs and a negative
    labels = torch.tensor([1.0, 0.0, 0.5, 1.0, 0.0])
    ids = torch.randint(7, (11,), generator=generator) if with_ids else None
    pairs, subgroups = first_with_second(5), torch.zeros(10, dtype=torch.int64)
    expected = brute_force.pair_scores(name, points, labels, pairs, ids, k=2, distance=distance)
    scores = METRICS[name](distance_metric_name=distance, reduce_func=None).compute(
        points, labels, pairs, subgroups, ids=ids
    )
    assert scores.tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    counted = [score for score in expected if not math.isnan(score)]
    metric = METRICS[name](distance_metric_name=distance)
    mean = metric.compute(embeddings=points, labels=labels, pairs=pairs, subgroups=subgroups, ids=ids)
    assert mean.item() == pytest.approx(sum(counted) / len(counted), abs=1e-6)
    assert metric.num_left_out == 10 - len(counted)


def test_every_object_is_a_query_over_all_others_and_subgroups_change_nothing():
    # Angles: first objects at 0° and 20°, second at 5° and 60°. The nearest to each, in turn: 5°, 5°, 0° and 20°.
    angles = torch.deg2rad(torch.tensor([0.0, 20, 5, 60]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = first_with_second(2)
    expected = [1.0, 0.0, 1.0, 1.0]
    for subgroups in (torch.zeros(4), torch.tensor([0, 1, 0, 1]), torch.tensor([5, 6, 7, 8]), torch.empty(0)):
        scores = RetrievalPrecision(1, reduce_func=None).compute(points, torch.ones(2), pairs, subgroups)
        assert scores.tolist() == expected


def test_a_pair_with_score_zero_makes_nothing_relevant():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    metric = RetrievalPrecision(1, reduce_func=None)
    scores = metric.compute(points, torch.tensor([1.0, 0.0]), first_with_second(2), NO_SUBGROUPS)
    assert scores.nan_to_num(-1).tolist() == [1.0, -1.0, 1.0, -1.0]
    assert metric.num_left_out == 2


def test_perfect_pairs_with_repeated_objects_score_exactly_one_once_ids_tell():
    # Two questions, each with two answers, and one of the answers written twice.
    questions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    answers = torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.1, 1.0], [0.1, 1.0]])
    points, ids = torch.cat([questions, answers]), torch.tensor([0, 0, 1, 1, 2, 3, 4, 4])
    arguments = (points, torch.ones(4), first_with_second(4), torch.zeros(8, dtype=torch.int64))
    others = [RetrievalRPrecision(), MeanAveragePrecisionAtR(), NDCG(7)]
    for metric in (RetrievalPrecision(1), RetrievalRecall(1), RetrievalReciprocalRank(), *others):
        assert torch.equal(metric.compute(*arguments, ids=ids), torch.tensor(1.0))
        assert metric.compute(*arguments) < 1.0  # without ids, the copy of a question stands before its answer


@pytest.mark.parametrize("distance", list(Distance))
def test_perfect_embeddings_score_exactly_one(distance):
    points = torch.eye(50) + 0.01 * torch.rand(50, 50, generator=torch.Generator().manual_seed(0))
    points = points / points.norm(dim=1, keepdim=True)
    both = torch.cat([points, points])
    for make in METRICS.values():
        if make is METRICS["precision"]:
            continue  # with one partner each, only precision@1 can be 1
        value = make(distance_metric_name=distance).compute(both, torch.ones(50), first_with_second(50), NO_SUBGROUPS)
        assert torch.equal(value, torch.tensor(1.0))
    value = RetrievalPrecision(1, distance).compute(both, torch.ones(50), first_with_second(50), NO_SUBGROUPS)
    assert torch.equal(value, torch.tensor(1.0))


def test_explicit_negatives_are_candidates_and_no_queries():
    points = torch.tensor([[1.0, 0.0], [0.8, 0.6], [1.0, 0.1]])
    pairs = torch.tensor([[0, 1]])
    with_negative = RetrievalPrecision(1, reduce_func=None).compute(points, torch.ones(1), pairs, NO_SUBGROUPS)
    assert with_negative.tolist() == [0.0, 0.0]
    without = RetrievalPrecision(1, reduce_func=None).compute(points[:2], torch.ones(1), pairs, NO_SUBGROUPS)
    assert without.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("with_ids", [False, True])
def test_what_came_in_parts_is_evaluated_as_one_set(name, with_ids):
    generator = torch.Generator().manual_seed(2)
    first, second = torch.randn(2, 30, 4, generator=generator)
    first_ids, second_ids = torch.randint(40, (2, 30), generator=generator)
    labels = (torch.rand(30, generator=generator) < 0.8).float()

    def arguments(part):
        ids = torch.cat([first_ids[part], second_ids[part]]) if with_ids else None
        points = torch.cat([first[part], second[part]])
        return (points, labels[part], first_with_second(len(part)), NO_SUBGROUPS), {"ids": ids}

    metric = METRICS[name](reduce_func=None)
    everything, ids = arguments(torch.arange(30))
    whole = metric.compute(*everything, **ids)
    for part in torch.arange(30).split(7):
        positional, ids = arguments(part)
        metric.update(*positional, **ids)
    # Rows come batch by batch: first the firsts of the batch, then its seconds.
    order = torch.cat([torch.cat([part, part + 30]) for part in torch.arange(30).split(7)])
    assert torch.equal(metric.evaluate().nan_to_num(-1), whole[order].nan_to_num(-1))
    metric.reduce_func = torch.mean
    gathered = metric.evaluate()
    everything, ids = arguments(torch.arange(30))
    assert gathered.item() == pytest.approx(metric.compute(*everything, **ids).item(), abs=1e-7)


def test_it_takes_what_a_batch_carries():
    pairs = first_with_second(2)
    nothing = torch.empty((0, 2), dtype=torch.int64)
    targets = PairTargets(pairs, torch.ones(2), torch.zeros(4, dtype=torch.int64), torch.arange(4), nothing)
    metric = RetrievalPrecision(1)
    metric.update(torch.eye(2).repeat(2, 1), **targets.as_arguments())
    assert metric.evaluate() == 1.0


def test_empty_labels_stand_for_ones_in_every_part():
    metric = RetrievalPrecision(1, reduce_func=None)
    metric.update(torch.eye(4)[[0, 0]], torch.empty(0), torch.tensor([[0, 1]]), torch.empty(0))
    metric.update(torch.eye(4)[[1, 2]], torch.zeros(1), torch.tensor([[0, 1]]), torch.empty(0))
    assert metric.evaluate().nan_to_num(-1).tolist() == [1.0, 1.0, -1.0, -1.0]


def test_ids_in_some_parts_only_are_refused():
    metric = RetrievalPrecision(1)
    arguments = (torch.eye(2), torch.ones(1), torch.tensor([[0, 1]]), NO_SUBGROUPS)
    metric.update(*arguments, ids=torch.arange(2))
    with pytest.raises(ValueError, match=r"got ids in some calls and none in others.*reset\(\)"):
        metric.update(*arguments)
    metric.reset()
    metric.update(*arguments)
    assert metric.evaluate() == 1.0


def test_evaluating_nothing_is_refused():
    metric = RetrievalReciprocalRank()
    metric.update(torch.eye(2), torch.ones(1), torch.tensor([[0, 1]]), NO_SUBGROUPS)
    metric.reset()
    with pytest.raises(UnscorableSetError, match=r"RetrievalReciprocalRank.evaluate\(\) was called before update"):
        metric.evaluate()


def test_a_copy_gathers_on_its_own():
    metric = RetrievalPrecision(1)
    metric.update(torch.eye(2)[[0, 0]], torch.ones(1), torch.tensor([[0, 1]]), NO_SUBGROUPS)
    copied = copy.deepcopy(metric)
    copied.update(torch.eye(2)[[1, 1]], torch.ones(1), torch.tensor([[0, 1]]), NO_SUBGROUPS)
    metric.reduce_func = copied.reduce_func = None
    assert (len(metric.evaluate()), len(copied.evaluate())) == (2, 4)
