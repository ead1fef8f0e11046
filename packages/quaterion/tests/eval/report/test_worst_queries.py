"""The worst come first, and what they found is in order."""

import torch

from quaterion.eval.report.worst_queries import first_results, worst_queries
from quaterion.eval.tasks import group_task, pair_task


def test_queries_that_are_served_well_or_have_nothing_to_find_are_not_among_the_worst():
    nan = float("nan")
    assert worst_queries(torch.tensor([1.0, 0.25, nan, 0.5, 0.25]), 10) == [1, 4, 3]
    assert worst_queries(torch.tensor([1.0, 0.25, nan, 0.5, 0.25]), 2) == [1, 4]
    assert worst_queries(torch.tensor([1.0, nan]), 10) == []


def test_of_equal_candidates_the_lower_row_comes_first_and_the_query_itself_never():
    vectors = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])
    (result,) = first_results(group_task(vectors, torch.tensor([0, 1, 1, 0])), [0], torch.arange(4))
    assert [found.row for found in result.top] == [1, 2, 3]
    assert (result.best.row, result.rank) == (3, 3)


def test_copies_of_the_query_among_the_candidates_belong_to_it():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    task = pair_task(vectors, torch.ones(2), torch.tensor([[0, 1], [2, 3]]), torch.tensor([7, 1, 7, 2]))
    (result,) = first_results(task, [0], torch.arange(4))
    assert (result.best.row, result.rank, result.best.similarity) == (2, 1, 1.0)
