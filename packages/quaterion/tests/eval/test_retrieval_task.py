import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.group import (
    NDCG,
    MeanAveragePrecisionAtR,
    RetrievalPrecision,
    RetrievalRecall,
    RetrievalReciprocalRank,
    RetrievalRPrecision,
)
from quaterion.eval.retrieval_task import score_queries
from quaterion.eval.tasks import group_task
from quaterion.functional import rounded_similarity


def a_task(count=120, dimensions=6, groups=15):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(count, dimensions, generator=generator)
    return group_task(points, torch.randint(groups, (count,), generator=generator))


def all_metrics(distance=Distance.COSINE):
    return [
        RetrievalPrecision(3, distance),
        RetrievalRecall(5, distance),
        RetrievalRPrecision(distance),
        MeanAveragePrecisionAtR(distance),
        RetrievalReciprocalRank(distance),
        NDCG(10, distance),
    ]


def test_metrics_of_one_run_give_what_each_gives_alone():
    task = a_task()
    metrics = all_metrics() + all_metrics(Distance.EUCLIDEAN)
    together = score_queries(task, metrics)
    for metric, scores in zip(metrics, together, strict=True):
        assert torch.equal(scores, score_queries(task, [metric])[0])


def watch_products(monkeypatch, look):
    """Calls `look` with the arguments of everything that compares a block of queries with candidates."""
    for name in ("prepared_similarity_matrix", "prepared_distance_matrix"):
        compute = getattr(rounded_similarity, name)
        monkeypatch.setattr(
            rounded_similarity, name, lambda *arguments, compute=compute: look(*arguments) or compute(*arguments)
        )


def test_metrics_of_one_distance_share_one_pass_over_the_similarities(monkeypatch):
    passes = []
    watch_products(monkeypatch, lambda x, y, metric: passes.append(str(metric)))
    score_queries(a_task(), all_metrics() + all_metrics(Distance.MANHATTAN))
    assert passes == ["cosine", "manhattan"]


@pytest.mark.parametrize("distance", list(Distance))
def test_memory_stays_bounded_and_blocks_change_no_score(distance, monkeypatch):
    task = a_task()
    whole = score_queries(task, all_metrics(distance))
    largest = 0

    def measure(x, y, metric):
        nonlocal largest
        largest = max(largest, len(x) * len(y))

    watch_products(monkeypatch, measure)
    for bound in (1, 2000):
        largest = 0
        parts = score_queries(task, all_metrics(distance), max_entries=bound)
        assert 0 < largest <= max(bound, 120)
        for one, other in zip(whole, parts, strict=True):
            assert torch.equal(one, other)


def test_scores_of_chosen_queries_are_those_of_all_queries():
    task = a_task()
    numbers = torch.tensor([3, 50, 7, 119])
    for some, every in zip(
        score_queries(task.choose(numbers), all_metrics()), score_queries(task, all_metrics()), strict=True
    ):
        assert torch.equal(some, every[numbers])


def test_the_order_of_the_objects_does_not_matter():
    generator = torch.Generator().manual_seed(4)
    points = torch.randint(-1, 2, (80, 3), generator=generator).float()  # 27 different points: ties everywhere
    groups = torch.randint(6, (80,), generator=generator)
    shuffled = torch.randperm(80, generator=generator)
    scores = score_queries(group_task(points, groups), all_metrics())
    again = score_queries(group_task(points[shuffled], groups[shuffled]), all_metrics())
    for one, other in zip(scores, again, strict=True):
        assert torch.equal(one[shuffled].nan_to_num(-1), other.nan_to_num(-1))


def test_a_k_larger_than_the_set_is_refused():
    task = group_task(torch.eye(4), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(UnscorableSetError, match=r"RetrievalPrecision looks at the first k=4 .* has only 3. Use a k"):
        score_queries(task, [RetrievalPrecision(4)])
    assert score_queries(task, [RetrievalPrecision(3)])[0].tolist() == pytest.approx([1 / 3] * 4)


def test_a_set_without_any_relevant_candidate_is_refused():
    task = group_task(torch.eye(4), torch.arange(4))
    with pytest.raises(UnscorableSetError, match=r"Not one of 4 queries has a relevant candidate"):
        score_queries(task, [RetrievalRPrecision()])


def test_embeddings_under_autograd_leave_no_graph_behind():
    points = torch.randn(6, 3, requires_grad=True)
    scores = score_queries(group_task(points, torch.tensor([0, 0, 1, 1, 2, 2])), [RetrievalRPrecision()])
    assert not scores[0].requires_grad
