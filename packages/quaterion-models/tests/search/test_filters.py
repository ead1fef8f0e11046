import math

import pytest

from quaterion_models.search.filters import AnyOf, Within, parse_filter, typed, unknown_field


def test_no_filter_has_no_conditions():
    assert parse_filter(None) == parse_filter({}) == []


def test_each_form_is_read():
    assert parse_filter({"a": 1, "b": ["x", True], "c": ("y",), "d": {"gt": 0, "lte": 1.5}}) == [
        AnyOf("a", (1,)),
        AnyOf("b", ("x", True)),
        AnyOf("c", ("y",)),
        Within("d", {"gt": 0, "lte": 1.5}),
    ]


def test_texts_numbers_and_truth_are_never_equal():
    values = ["1", 1, 1.0, True, 0, False, "True"]
    assert AnyOf("a", (1,)).accepts(values) == [False, True, True, False, False, False, False]
    assert AnyOf("a", (True,)).accepts(values) == [False, False, False, True, False, False, False]
    assert AnyOf("a", ("1", False)).accepts(values) == [True, False, False, False, False, True, False]


def test_nothing_is_equal_to_null_lists_and_objects():
    assert [typed(value) for value in (None, [], {}, [1])] == [None] * 4


def test_each_bound_is_kept():
    numbers = [0, 1, 1.5, 2, 3]
    for name, accepts in {
        "gt": lambda n: n > 1,
        "gte": lambda n: n >= 1,
        "lt": lambda n: n < 2,
        "lte": lambda n: n <= 2,
    }.items():
        bound = 1 if name.startswith("g") else 2
        assert Within("a", {name: bound}).accepts(numbers) == [accepts(n) for n in numbers]
    assert Within("a", {"gt": 1, "lt": 3}).accepts([1, 2, 3, "2", True]) == [False, True, False, False, False]


@pytest.mark.parametrize("wanted", [None, [], [None], [[1]], math.nan, [math.inf], b"a", object()])
def test_conditions_of_other_types_are_refused(wanted):
    with pytest.raises(ValueError, match="the filter for 'a' is .*, expected a text, a number, true or false, a list"):
        parse_filter({"a": wanted})


@pytest.mark.parametrize(
    "wanted", [{}, {"gte": "2000"}, {"gte": True}, {"min": 1}, {"gt": 1, "x": 2}, {"lt": math.nan}]
)
def test_ranges_that_are_none_are_refused(wanted):
    with pytest.raises(ValueError, match="the filter for 'a' is .*, expected a range such as"):
        parse_filter({"a": wanted})


@pytest.mark.parametrize("given", [["a"], "a", {1: 2}])
def test_a_filter_must_be_a_dictionary_of_names(given):
    with pytest.raises(TypeError, match="a filter must be a dictionary of field names to conditions, got"):
        parse_filter(given)


def test_the_error_for_an_unknown_field_names_the_known_ones():
    assert (
        str(unknown_field("x", {"b", "a"}))
        == "the filter asks for the field 'x', which no object has; there are 'a', 'b'"
    )
    assert str(unknown_field("x", set())).endswith("; no object has any")
