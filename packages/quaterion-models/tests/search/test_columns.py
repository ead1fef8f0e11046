import pytest

from quaterion_models.search.columns import Columns
from quaterion_models.search.filters import AnyOf, Within


def test_a_column_grows_with_the_objects_and_each_is_read_once():
    payloads = [{"a": 1}, {"a": [1, 2, "x"]}, {"b": 1}]
    read = []

    def some(first):
        for row in range(first, len(payloads)):
            read.append(row)
            yield payloads[row]

    columns = Columns(some)
    assert columns.accepted(AnyOf("a", (1,)), 3).tolist() == [True, True, False]
    payloads += [{"a": 2}, {}]
    assert columns.accepted(AnyOf("a", (2, "y")), 5).tolist() == [False, True, False, True, False]
    assert columns.accepted(Within("a", {"gte": 1}), 5).tolist() == [True, True, False, True, False]
    assert read == [0, 1, 2, 3, 4]


def test_a_field_without_a_value_to_compare_is_known():
    columns = Columns(lambda first: iter([{"a": None, "b": []}, {"a": {}, "b": [None]}]))
    assert columns.accepted(AnyOf("a", (1,)), 2).tolist() == [False, False]
    assert columns.accepted(AnyOf("b", (1,)), 2).tolist() == [False, False]
    with pytest.raises(ValueError, match="'c', which no object has; there are 'a', 'b'"):
        columns.accepted(AnyOf("c", (1,)), 2)
