"""Histograms do not depend on how the work is cut."""

import pytest
import torch

from quaterion.eval.report.histograms import similarity_histogram
from quaterion.eval.tasks import group_task


@pytest.mark.parametrize("metric", ["cosine", "dot_product", "euclidean"])
def test_blocks_of_any_size_give_the_same_counts(metric):
    vectors = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    task = group_task(vectors, torch.arange(50) % 7)
    whole, cut = similarity_histogram(task, metric), similarity_histogram(task, metric, max_entries=60)
    assert (whole.edges, whole.matching, whole.other) == (cut.edges, cut.matching, cut.other)
    assert whole.matching_mean == pytest.approx(cut.matching_mean, abs=1e-12)


def test_the_largest_similarity_is_in_the_last_bin_and_the_smallest_in_the_first():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    histogram = similarity_histogram(group_task(vectors, torch.tensor([0, 0, 1])))
    assert histogram.matching[99] == 2 and histogram.other[0] == 4


def test_zero_vectors_have_a_dot_product_of_zero_with_everything():
    histogram = similarity_histogram(group_task(torch.zeros(3, 2), torch.tensor([0, 0, 1])), "dot_product")
    assert histogram.matching[50] == 2 and histogram.other[50] == 4
