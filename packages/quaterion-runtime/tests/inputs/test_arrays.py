import numpy as np
import pytest

from quaterion_runtime.folder import ArrayInput
from quaterion_runtime.inputs.arrays import ArrayPreparer


def prepare(obj, dtype="float32", shape=(2,)):
    described = ArrayInput(field=None, shape=shape, dtype=dtype, tensors={"array": "x"})
    return ArrayPreparer(described).prepare([obj, obj], "query", [5, 6]).batch([1, 0])["x"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
@pytest.mark.parametrize("obj", [[1, 2], (1, 2), np.array([1, 2], dtype=np.uint8), np.array([True, 2]), range(1, 3)])
def test_numbers_come_in_the_type_that_the_graph_takes(obj, dtype):
    batch = prepare(obj, dtype)
    assert batch.dtype == np.dtype(dtype)
    assert batch.tolist() == [list(obj), list(obj)]


def test_arrays_of_several_axes_are_stacked():
    array = np.arange(6.0).reshape(2, 3)
    assert (prepare(array, "float64", (2, 3)) == np.stack([array, array])).all()


@pytest.mark.parametrize("obj", [[0.5, 1.0], np.array([1.0, 2.0]), ["a", "b"], [1j, 1], None, [None, 1], {"a": 1}])
def test_what_would_lose_its_meaning_is_refused(obj):
    with pytest.raises(TypeError, match=rf"takes arrays \[2\] of int64, got {type(obj).__name__} at position 5"):
        prepare(obj, "int64")


@pytest.mark.parametrize(
    ("obj", "dtype"),
    [
        ([2**31, 0], "int32"),
        ([0, -(2**31) - 1], "int32"),
        (np.array([2**63, 0], dtype=np.uint64), "int64"),
        ([1e39, 0.0], "float32"),
        ([0.0, -1e300], "float32"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_and_not_wrapped_round(obj, dtype):
    with pytest.raises(ValueError, match=f"the array at position 5 has numbers beyond those of {dtype}"):
        prepare(obj, dtype)


def test_the_largest_numbers_fit():
    assert prepare([2**31 - 1, -(2**31)], "int32").tolist()[0] == [2**31 - 1, -(2**31)]
    assert prepare([2**63 - 1, -(2**63)], "int64").tolist()[0] == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("obj", [[np.nan, 1.0], [np.inf, 1.0], np.array([1, np.nan], dtype=np.float16)])
def test_numbers_that_are_none_are_refused(obj):
    with pytest.raises(ValueError, match="the array at position 5 has NaN or infinite values, expected finite numbers"):
        prepare(obj)


@pytest.mark.parametrize("obj", [[1], [1, 2, 3], [[1, 2]], 1.0, []])
def test_another_shape_is_refused(obj):
    with pytest.raises(ValueError, match=r"takes arrays of shape \[2\], got \[.*\] at position 5"):
        prepare(obj)
