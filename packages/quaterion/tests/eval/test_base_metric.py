import numpy as np
import pytest
import torch

from quaterion.distances import Distance
from quaterion.eval.base_metric import RetrievalMetric, checked_k
from quaterion.eval.group import RetrievalPrecision


def test_a_metric_without_its_formula_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        RetrievalMetric()


@pytest.mark.parametrize("k", [0, -3])
def test_a_k_below_one_is_refused(k):
    with pytest.raises(ValueError, match=rf"k={k}; expected 1 or more"):
        RetrievalPrecision(k)


@pytest.mark.parametrize("k", [1.0, "3", None])
def test_a_k_that_is_no_integer_is_refused(k):
    with pytest.raises(TypeError, match=r"expected an integer of 1 or more, such as k=10"):
        RetrievalPrecision(k)


def test_a_k_may_be_of_any_integer_type():
    assert checked_k(np.int64(3)) == 3


def test_an_unknown_distance_is_refused_when_the_metric_is_built():
    with pytest.raises(ValueError, match="unknown distance 'hamming'"):
        RetrievalPrecision(distance_metric_name="hamming")


def test_a_distance_may_be_named():
    assert RetrievalPrecision(distance_metric_name="euclidean").distance_metric_name is Distance.EUCLIDEAN


def test_any_function_may_reduce_the_scores_of_the_queries_that_count():
    scores = torch.tensor([0.0, torch.nan, 0.25, 1.0], dtype=torch.float64)
    metric = RetrievalPrecision(reduce_func=lambda values: values.max() + values.numel())
    assert torch.equal(metric.reduce(scores), torch.tensor(4.0))
    assert metric.num_left_out == 1


def test_without_a_function_the_scores_keep_their_places():
    scores = torch.tensor([0.0, torch.nan, 0.25], dtype=torch.float64)
    reduced = RetrievalPrecision(reduce_func=None).reduce(scores)
    assert reduced.dtype == torch.float32
    assert reduced.nan_to_num(-1).tolist() == [0.0, -1.0, 0.25]
