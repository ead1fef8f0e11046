import numpy as np
import pytest
import torch

from quaterion_models.encoders.given_vectors import as_matrix, as_row, check_finite, stack_rows


@pytest.mark.parametrize(
    "obj",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=">f4"),
        torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        torch.tensor([1.0, 2.0], requires_grad=True),
    ],
)
def test_rows_in_every_form_are_read(obj):
    row = as_row(obj, 2, "it")
    assert row.shape == (2,) and row.tolist() == [1, 2]


@pytest.mark.parametrize(
    "obj", ["12", ["1", "2"], [None, 1.0], [1j, 2], {"a": 1}, None, [[1], [1, 2]], torch.tensor([1j])]
)
def test_what_is_no_vector_of_real_numbers_is_named(obj):
    with pytest.raises(TypeError, match="it must be 2 real numbers"):
        as_row(obj, 2, "it")


@pytest.mark.parametrize(("obj", "shape"), [([1], r"\[1\]"), (3.0, r"\[\]"), ([[1, 2]], r"\[1, 2\]"), ([], r"\[0\]")])
def test_other_shapes_are_named(obj, shape):
    with pytest.raises(ValueError, match=rf"it has shape {shape}, expected \[2\]"):
        as_row(obj, 2, "it")


def test_a_stack_is_float32_and_may_be_empty():
    assert torch.equal(stack_rows([np.array([1, 2]), np.array([0.5, 1e-3])], 2), torch.tensor([[1, 2], [0.5, 1e-3]]))
    assert stack_rows([], 3).shape == (0, 3)


def test_a_matrix_of_no_rows_is_taken():
    assert as_matrix([], 0, 3, str, "it").shape == as_matrix(np.zeros((0, 3)), 0, 3, str, "it").shape == (0, 3)


def test_the_first_number_that_is_not_finite_is_named():
    matrix = torch.zeros(3, 2)
    check_finite(matrix, str)
    matrix[1, 1], matrix[2, 0] = torch.nan, torch.inf
    with pytest.raises(ValueError, match="row 1 holds nan at place 1"):
        check_finite(matrix, lambda row: f"row {row}")
