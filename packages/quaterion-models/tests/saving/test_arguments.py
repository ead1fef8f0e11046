import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quaterion_models.saving.arguments import (
    Arguments,
    build,
    decode_arguments,
    decode_value,
    encode_arguments,
    encode_value,
    record_arguments,
    recorded_arguments,
)


class Recorded:
    def __new__(cls, *args, **kwargs):
        instance = super().__new__(cls)
        record_arguments(instance, args, kwargs)
        return instance


class Everything(Recorded):
    def __init__(self, first, /, second, *rest, third=3, **more):
        self.all = (first, second, rest, third, more)


class Plain(Recorded):
    def __init__(self, first, second=2):
        self.all = (first, second)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**70),
        1.5,
        math.inf,
        -math.inf,
        "täxt",
        [1, (2, [3])],
        (),
        {"a": (1,)},
        {1: "int key", (2, 3): "tuple key", "$tuple": "tagged key"},
        {"$tuple": [1]},
        {},
        Path("a/b"),
        torch.bfloat16,
    ],
    ids=repr,
)
def test_values_come_back_from_json_with_their_types(value):
    restored = decode_value(json.loads(json.dumps(encode_value(value))))
    assert restored == value
    assert repr(restored) == repr(value)


def test_numpy_numbers_become_python_numbers_and_nan_stays_nan():
    assert encode_value([np.int64(3), np.float32(0.5), np.bool_(True), np.str_("x")]) == [3, 0.5, True, "x"]
    assert math.isnan(decode_value(encode_value(math.nan)))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(values)
def test_any_nest_of_plain_values_comes_back(value):
    assert repr(decode_value(json.loads(json.dumps(encode_value(value))))) == repr(value)


def test_what_json_cannot_hold_is_listed():
    encoded = encode_arguments({"good": 1, "bad": [torch.zeros(1)], "worse": lambda: 0, "set": {1}})
    assert encoded.values == {"good": 1}
    assert encoded.unrecorded == {
        "bad": "builtins.list",
        "worse": "builtins.function",
        "set": "builtins.set",
    }


def test_a_ring_is_listed_too():
    ring: list = []
    ring.append(ring)
    assert encode_arguments({"ring": ring}).unrecorded == {"ring": "builtins.list"}


@pytest.mark.parametrize(
    "value",
    [
        {"$tuple": 3},
        {"$dict": [[1]]},
        {"$dict": [[[], 1]]},
        {"$path": 3},
        {"$float": "1"},
        {"$dtype": "Tensor"},
        {"$x": 1},
    ],
)
def test_damaged_values_are_refused(value):
    with pytest.raises(ValueError, match="not "):
        decode_value(value)


def test_a_call_is_recorded_and_repeated():
    one = Everything(1, 2, 4, 5, third=6, seventh=7)
    arguments = recorded_arguments(one)
    assert arguments == Arguments({"first": 1, "second": 2, "*rest": [4, 5], "third": 6, "seventh": 7}, {})
    assert build(Everything, decode_arguments(arguments.values)).all == one.all


@pytest.mark.parametrize("one", [Everything(1, 2), Everything(1, second=2), Everything(1, 2, third=None)])
def test_calls_without_variable_arguments_are_repeated(one):
    assert build(Everything, decode_arguments(recorded_arguments(one).values)).all == one.all


def test_defaults_are_recorded():
    assert recorded_arguments(Plain(1)).values == {"first": 1, "second": 2}


def test_a_wrong_call_is_left_to_the_constructor_to_refuse():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        Plain()
    assert recorded_arguments(Plain.__new__(Plain)) is None
