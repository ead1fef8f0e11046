import pytest
import torch

from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.tasks import group_task, pair_task, side_task

EYE = torch.eye(4)
ONES = torch.ones(2)
PAIRS = torch.tensor([[0, 2], [1, 3]])


def test_every_object_of_a_group_task_is_a_query_over_all_others():
    task = group_task(EYE, torch.tensor([0, 0, 1, 1]))
    assert task.own_rows.tolist() == [0, 1, 2, 3]
    assert task.num_candidates == 3


def test_rows_in_no_pair_are_candidates_and_no_queries():
    task = pair_task(torch.eye(6), ONES, PAIRS)
    assert task.own_rows.tolist() == [0, 1, 2, 3]
    assert len(task.candidates) == 6
    assert task.num_relevant.tolist() == [1, 1, 1, 1]


def test_pairs_without_labels_all_count():
    assert pair_task(EYE, torch.empty(0), PAIRS).num_relevant.tolist() == [1, 1, 1, 1]


def test_a_side_task_searches_what_is_not_first():
    task = side_task(torch.eye(5), torch.tensor([1.0, 0.0]), PAIRS)
    assert torch.equal(task.queries, torch.eye(5)[:2])
    assert torch.equal(task.candidates, torch.eye(5)[2:])
    assert task.num_candidates == 3
    assert task.num_relevant.tolist() == [1, 0]


def test_chosen_queries_keep_all_candidates():
    task = group_task(EYE, torch.tensor([0, 1, 1, 0])).choose(torch.tensor([3, 1]))
    assert task.own_rows.tolist() == [3, 1]
    assert task.num_candidates == 3
    assert task.relevant(torch.tensor([0])).tolist() == [[True, False, False, True]]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_embedding_that_is_not_finite_is_named(value):
    wrong = EYE.clone()
    wrong[2, 1] = wrong[3, 0] = value
    with pytest.raises(ValueError, match=r"embeddings of 2 of 4 objects hold NaN or infinity, the first in row 2"):
        group_task(wrong, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"the first in row 2"):
        pair_task(wrong, ONES, PAIRS)


def test_an_empty_set_is_refused():
    with pytest.raises(UnscorableSetError, match=r"There are no embeddings.*is the data set empty"):
        group_task(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))
    with pytest.raises(UnscorableSetError, match=r"There are no pairs"):
        pair_task(EYE, torch.empty(0), torch.empty(0, 2, dtype=torch.int64))


@pytest.mark.parametrize("count", [1, 3])
def test_one_group_is_refused(count):
    with pytest.raises(UnscorableSetError, match=rf"All {count} objects are of one group \(7\).*two groups or more"):
        group_task(torch.eye(count), torch.full((count,), 7))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"embeddings has the shape \(3,\); expected a row for each object"):
        group_task(torch.ones(3), torch.arange(3))
    with pytest.raises(ValueError, match=r"groups has the shape \(3,\), but there are 4 embeddings"):
        group_task(EYE, torch.arange(3))
    with pytest.raises(ValueError, match=r"pairs has the shape \(2,\) .* expected the two rows of each pair"):
        pair_task(EYE, ONES, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"the type torch.float32; expected the two rows"):
        pair_task(EYE, ONES, PAIRS.float())
    with pytest.raises(ValueError, match=r"3 labels for 2 pairs; expected one score for each"):
        pair_task(EYE, torch.ones(3), PAIRS)
    with pytest.raises(ValueError, match=r"ids has the shape \(2,\); expected one id for each embedding, \[4\]"):
        pair_task(EYE, ONES, PAIRS, torch.arange(2))


@pytest.mark.parametrize("row", [-1, 4])
def test_rows_out_of_range_are_named(row):
    with pytest.raises(ValueError, match=r"but there are 4 embeddings. Expected rows in 0..3"):
        pair_task(EYE, ONES, torch.tensor([[0, row], [1, 2]]))


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(ValueError, match=r"labels holds NaN; expected a score"):
        pair_task(EYE, torch.tensor([1.0, torch.nan]), PAIRS)
