import copy
import pickle

import pytest
import torch
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from quaterion.batch import PairTargets
from quaterion.distances import Distance
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.scored import (
    AveragePrecision,
    BestF1,
    PearsonCorrelation,
    RocAuc,
    ScoredPairMetric,
    SpearmanCorrelation,
)

CORRELATIONS = {
    PearsonCorrelation: lambda labels, values: stats.pearsonr(labels, values).statistic,
    SpearmanCorrelation: lambda labels, values: stats.spearmanr(labels, values).statistic,
}
BINARY = {
    AveragePrecision: average_precision_score,
    RocAuc: roc_auc_score,
    BestF1: lambda labels, values: max(f1_score(labels, [v >= t for v in values]) for t in values),
}
ALL = CORRELATIONS | BINARY


def plain_similarity(x, y, distance):
    x, y = x.double(), y.double()
    if distance == "dot_product":
        return float(x @ y)
    if distance == "cosine":
        lengths = float(x.norm() * y.norm())
        return float(x @ y) / lengths if lengths else 0.0
    return 1 / (1 + float((x - y).norm(p=2 if distance == "euclidean" else 1)))


def some_pairs(levels, seed, count=40):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(-levels, levels + 1, (2 * count + 3, 3), generator=generator).float()
    rows = torch.randperm(2 * count + 3, generator=generator)[: 2 * count].view(count, 2)
    labels = (torch.rand(count, generator=generator) < 0.4).float()
    return points, labels, rows


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("levels", [1, 100])  # coordinates of −1, 0 and 1 tie often, zero vectors included
def test_it_is_what_scipy_and_scikit_learn_say_with_ties_and_negative_similarities(metric, distance, levels):
    points, labels, rows = some_pairs(levels, seed=levels)
    values = [plain_similarity(points[a], points[b], distance) for a, b in rows.tolist()]
    values = [round(value, 9) if levels == 1 else value for value in values]  # equal but for float64's rounding
    expected = ALL[metric](labels.tolist(), values)
    assert metric(distance).compute(points, labels, rows).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_correlations_take_graded_scores(metric):
    points, labels, rows = some_pairs(100, seed=5)
    labels = labels + torch.arange(40) // 4 / 10
    values = [plain_similarity(points[a], points[b], "cosine") for a, b in rows.tolist()]
    expected = CORRELATIONS[metric](labels.tolist(), values)
    assert metric().compute(points, labels, rows).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("distance", list(Distance))
def test_perfect_embeddings_score_exactly_one(metric, distance):
    # Pairs that match hold equal objects; the others are equally far from each other.
    numbers = torch.arange(50)
    points = 0.3 * torch.eye(50).repeat(2, 1)
    same = torch.stack([numbers, numbers + 50], dim=1)
    other = torch.stack([numbers, (numbers + 7) % 50 + 50], dim=1)
    labels = torch.cat([torch.ones(50), torch.zeros(50)])
    assert metric(distance).compute(points, labels, torch.cat([same, other])).item() == 1.0


@pytest.mark.parametrize("metric", ALL)
def test_what_came_in_parts_is_evaluated_as_one_set_and_no_mean_of_batches(metric):
    points, labels, rows = some_pairs(100, seed=2)
    labels[::8], labels[1::8] = 1.0, 0.0  # both kinds in each batch
    whole = metric().compute(points, labels, rows)
    gathering, means = metric(), []
    for part in torch.arange(40).split(8):
        batch, pairs = points[rows[part].T.flatten()], torch.arange(16).view(2, 8).T
        gathering.update(batch, labels[part], pairs, torch.empty(0))
        means.append(metric().compute(batch, labels[part], pairs))
    assert torch.equal(gathering.evaluate(), whole)
    assert torch.equal(gathering.evaluate(), whole)  # evaluating forgets nothing
    assert not torch.isclose(torch.stack(means).mean(), whole)
    gathering.reset()
    with pytest.raises(UnscorableSetError, match=r"evaluate\(\) was called before update"):
        gathering.evaluate()


def test_it_takes_what_a_batch_carries_and_leaves_explicit_negatives_out():
    nothing = torch.empty((0, 2), dtype=torch.int64)
    pairs, scores = torch.tensor([[0, 2], [1, 3]]), torch.tensor([1.0, 0.0])
    targets = PairTargets(pairs, scores, torch.zeros(4, dtype=torch.int64), torch.arange(5), nothing)
    metric = AttachedMetric("auc", RocAuc())
    metric.update(torch.tensor([[1.0, 0], [1, 0], [1, 0.1], [0, 1], [1, 0]]), **targets.as_arguments())
    assert metric.evaluate() == 1.0


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_model_that_finds_all_pairs_equal_correlates_with_nothing(metric):
    value = metric().compute(torch.ones(6, 2), torch.tensor([0.1, 0.5, 0.9]), torch.tensor([[0, 1], [2, 3], [4, 5]]))
    assert value.item() == 0.0


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_samples_in_which_all_similarities_are_equal_correlate_with_nothing(metric):
    counts = torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 2, 0], [1, 0, 0, 1]])
    similarities, scores = torch.tensor([0.5, 0.5, 0.9, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    found = metric().score(similarities, scores, counts)
    # All similarities equal: 0. Both rise alike: 1. One pair, and pairs of one score: no value.
    assert found[:2].tolist() == [0.0, 1.0]
    assert found[2:].isnan().all()


@pytest.mark.parametrize("metric", ALL)
def test_samples_score_what_their_pairs_score_written_out(metric):
    generator = torch.Generator().manual_seed(4)
    similarities = torch.randint(0, 6, (15,), generator=generator).double()
    scores = (torch.rand(15, generator=generator) < 0.5).float()
    counts = torch.randint(0, 3, (40, 15), generator=generator).float()
    one = metric()
    written_out = [
        one.score(similarities.repeat_interleave(times.long()), scores.repeat_interleave(times.long()))
        for times in counts
    ]
    assert torch.allclose(one.score(similarities, scores, counts), torch.stack(written_out), atol=1e-12)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("distance", [Distance.EUCLIDEAN, Distance.MANHATTAN])
def test_a_model_whose_distances_are_tiny_is_scored_as_well(metric, distance):
    points, labels, rows = some_pairs(100, seed=3)
    norm = 2 if distance == Distance.EUCLIDEAN else 1
    # The similarity of a tiny distance is 1 less that distance, so that Pearson's correlation is the same.
    values = [-float((points[a] - points[b]).double().norm(p=norm)) for a, b in rows.tolist()]
    expected = ALL[metric](labels.tolist(), values)
    assert metric(distance).compute(1e-10 * points, labels, rows).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_sample_of_one_score_has_no_value(metric):
    assert metric().score(torch.tensor([0.1, 0.2]), torch.ones(2)).isnan()
    assert metric().score(torch.ones(2), torch.ones(2)).isnan()


@pytest.mark.parametrize("metric", ALL)
def test_pairs_of_one_score_are_refused(metric):
    arguments = (torch.eye(4), torch.ones(2), torch.tensor([[0, 1], [2, 3]]))
    with pytest.raises(UnscorableSetError, match=r"All 2 pairs .*score 1.* Expected pairs of"):
        metric().compute(*arguments)
    with pytest.raises(UnscorableSetError, match=r"All 2 pairs"):
        metric().compute(arguments[0], torch.empty(0), arguments[2])  # no labels stand for ones


@pytest.mark.parametrize("metric", BINARY)
def test_scores_that_are_not_zero_or_one_are_refused_by_metrics_of_matches(metric):
    with pytest.raises(ValueError, match=r"got a score of 0.25; expected 1 for pairs that match and 0 .*Spearman"):
        metric().compute(torch.eye(4), torch.tensor([1.0, 0.25]), torch.tensor([[0, 1], [2, 3]]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"embeddings": torch.full((4, 2), torch.nan)}, ValueError, "4 of 4 objects hold NaN or infinity"),
        ({"labels": torch.tensor([1.0, torch.nan])}, ValueError, "labels holds NaN; expected a score"),
        ({"labels": torch.tensor([1.0, torch.inf])}, ValueError, "labels holds infinity; expected a score"),
        ({"labels": torch.ones(3)}, ValueError, "3 labels for 2 pairs"),
        ({"pairs": torch.tensor([[0, 1], [2, 4]])}, ValueError, "rows 0 to 4, but there are 4 embeddings"),
        ({"pairs": torch.empty((0, 2), dtype=torch.int64), "labels": torch.empty(0)}, UnscorableSetError, "no pairs"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"embeddings": torch.eye(4), "labels": torch.tensor([1.0, 0.0])}
    arguments |= {"pairs": torch.tensor([[0, 1], [2, 3]])}
    with pytest.raises(error, match=message):
        SpearmanCorrelation().compute(**(arguments | change))


def test_gathered_embeddings_keep_no_graph_and_copies_gather_on_their_own():
    metric = RocAuc()
    points = torch.randn(4, 2, requires_grad=True)
    metric.update(points * 2, torch.tensor([1.0, 0.0]), torch.tensor([[0, 1], [2, 3]]))
    assert not metric.evaluate().requires_grad
    copied = copy.deepcopy(metric)
    copied.reset()
    assert torch.equal(pickle.loads(pickle.dumps(metric)).evaluate(), metric.evaluate())


def test_the_base_and_an_unknown_distance_are_refused():
    with pytest.raises(TypeError, match="abstract"):
        ScoredPairMetric()
    with pytest.raises(ValueError, match="unknown distance 'hamming'"):
        RocAuc("hamming")
