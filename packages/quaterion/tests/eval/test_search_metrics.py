import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from quaterion.distances import Distance
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.search_metrics import mean_intervals, retrieval_scores


def some_search(queries=40, documents=60):
    generator = torch.Generator().manual_seed(0)
    right = torch.randint(documents, (queries,), generator=generator)
    vectors = torch.randn(documents, 5, generator=generator)
    return vectors[right] + 0.7 * torch.randn(queries, 5, generator=generator), vectors, right


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("levels", [1, 100])
def test_it_equals_brute_force_with_ties_and_negative_similarities(distance, levels, brute_force):
    generator = torch.Generator().manual_seed(levels)
    queries = torch.randint(-levels, levels + 1, (8, 2), generator=generator).float()
    documents = torch.randint(-levels, levels + 1, (9, 2), generator=generator).float()
    right = torch.randint(9, (8,), generator=generator)
    scores = retrieval_scores(queries, documents, right, ks=(1, 4), distance_metric_name=distance)
    for name, formula, k in (("mrr", "reciprocal_rank", 0), ("recall@1", "recall", 1), ("recall@4", "recall", 4)):
        for number, query in enumerate(queries.tolist()):
            relevant = [row == right[number] for row in range(9)]
            expected = brute_force.score(formula, query, documents.tolist(), relevant, k=k, distance=distance)
            assert scores[name][number].item() == pytest.approx(expected, abs=1e-12)


def test_it_agrees_with_scikit_learn():
    queries, documents, right = some_search()
    scores = retrieval_scores(queries, documents, right)
    assert list(scores) == ["mrr", "recall@1", "recall@10"]
    similarity = (torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(documents).T).numpy()
    one_hot = torch.nn.functional.one_hot(right, 60).numpy()
    expected = label_ranking_average_precision_score(one_hot, similarity)  # one label each: the reciprocal rank
    assert scores["mrr"].mean().item() == pytest.approx(expected, abs=1e-12)
    for k in (1, 10):
        expected = top_k_accuracy_score(right.numpy(), similarity, k=k, labels=list(range(60)))
        assert scores[f"recall@{k}"].mean().item() == pytest.approx(expected, abs=1e-12)


def test_perfect_vectors_score_exactly_one_with_an_interval_of_no_width():
    documents = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    intervals = mean_intervals(retrieval_scores(3 * documents, documents, torch.arange(50)))
    assert set(intervals) == {"mrr", "recall@1", "recall@10"}
    assert all(interval == (1.0, 1.0, 1.0) for interval in intervals.values())


def test_blocks_change_nothing():
    queries, documents, right = some_search()
    whole = retrieval_scores(queries, documents, right, ks=[3])
    parts = retrieval_scores(queries, documents, right, ks=[3], max_entries=1)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_intervals_hold_their_mean_and_go_into_json():
    intervals = mean_intervals(retrieval_scores(*some_search()))
    for interval in intervals.values():
        assert interval.low <= interval.value <= interval.high
        assert list(interval._asdict()) == ["value", "low", "high"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ks": [0]}, ValueError, "k=0; expected 1 or more"),
        ({"ks": [1, 61]}, UnscorableSetError, "k=61, but there are only 60 documents"),
        ({"relevant": torch.arange(39)}, ValueError, r"shape \(39,\).*expected the row of each query's right document"),
        ({"relevant": torch.zeros(40)}, ValueError, r"type torch.float32; expected the row"),
        ({"relevant": torch.full((40,), 60)}, ValueError, r"rows 60 to 60, but there are 60 documents"),
        ({"query_vectors": torch.empty(0, 5)}, UnscorableSetError, "There are no embeddings"),
        ({"document_vectors": torch.empty(0, 5)}, UnscorableSetError, "There are no embeddings"),
        ({"query_vectors": torch.full((40, 5), torch.nan)}, ValueError, "40 of 40 objects hold NaN"),
        ({"query_vectors": torch.ones(40, 6)}, ValueError, "Queries have 6 dimensions and documents 5"),
        ({"distance_metric_name": "hamming"}, ValueError, "unknown distance 'hamming'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    queries, documents, right = some_search()
    arguments = {"query_vectors": queries, "document_vectors": documents, "relevant": right}
    with pytest.raises(error, match=message):
        retrieval_scores(**(arguments | change))
