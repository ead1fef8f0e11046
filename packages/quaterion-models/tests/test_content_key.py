import dataclasses
import datetime as dt
import decimal
import enum
import os
import subprocess
import sys
import uuid
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from quaterion_models.content_key import content_id, content_key


@dataclasses.dataclass
class Record:
    text: str
    number: int = 0


@dataclasses.dataclass
class OtherRecord:
    text: str
    number: int = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Named(NamedTuple):
    a: int
    b: int


class Tagged(str):
    tag: str

    __slots__ = ("tag",)


# No two of these may have the same key: neighbours of one another in every way a sloppy encoding would confuse.
DIFFERENT = [
    "",
    "1",
    "None",
    "ab",
    "\ud800",
    b"",
    b"1",
    bytearray(b"1"),
    None,
    True,
    False,
    0,
    1,
    -1,
    255,
    256,
    2**64,
    -(2**64),
    0.0,
    -0.0,
    1.0,
    float("nan"),
    float("inf"),
    1 + 0j,
    (),
    (1,),
    ("1",),
    ((1,),),
    ("a", "b"),
    ("ab",),
    ("a", ("b",)),
    (("a", "b"),),
    ("", "ab"),
    [],
    [1],
    [[1]],
    [1, 1],
    {},
    {1: 2},
    {"1": 2},
    {1: "2"},
    {2: 1},
    set(),
    {1},
    frozenset({1}),
    np.float32(1),
    np.float64(1),
    np.int64(1),
    np.array(1),
    np.array([1]),
    np.array([[1]]),
    np.array([1.0]),
    np.array([1.0], dtype=np.float32),
    np.array([True]),
    np.array(["1"]),
    np.array([b"1"]),
    np.array(["1"], dtype=object),
    np.array([1], dtype=object),
    np.zeros((0, 2)),
    np.zeros((2, 0)),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
    np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
    np.array([(1, 2.0)], dtype=[("x", "i4"), ("z", "f8")]),
    torch.tensor(1),
    torch.tensor([1]),
    torch.tensor([1.0]),
    torch.tensor([1.0], dtype=torch.bfloat16),
    torch.tensor([1.0], dtype=torch.float16),
    torch.zeros(0, 2),
    torch.zeros(2, 0),
    Record("a"),
    Record("a", 1),
    OtherRecord("a"),
    Colour.RED,
    Colour.BLUE,
    Named(1, 2),
    decimal.Decimal(1),
    decimal.Decimal("1.0"),
    dt.date(2020, 1, 1),
    dt.datetime(2020, 1, 1),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    dt.timedelta(days=1),
    uuid.UUID(int=1),
    Image.new("L", (2, 3)),
    Image.new("L", (3, 2)),
    Image.new("RGB", (2, 3)),
    Image.new("RGB", (2, 3), (1, 0, 0)),
    Image.new("P", (2, 3)),
]


def test_different_values_and_types_have_different_keys():
    keys = [content_key(value) for value in DIFFERENT]
    for (one, key), (other, other_key) in combinations(zip(DIFFERENT, keys, strict=True), 2):
        assert key != other_key, (one, other)


def test_a_key_has_16_bytes_and_an_id_fits_int64():
    for value in DIFFERENT:
        assert len(content_key(value)) == 16
        assert torch.tensor(content_id(value), dtype=torch.int64).item() == content_id(value)


def test_the_id_is_the_first_half_of_the_key():
    expected = int.from_bytes(content_key("x")[:8], "little")
    assert content_id("x") % 2**64 == expected


def test_a_text_has_the_same_key_inside_and_outside_a_container():
    # The fast path for text and the general one must agree: a tuple is keyed by its items' keys.
    assert content_key(np.str_("text")) == content_key("text")
    assert content_key(("text",)) == content_key((np.str_("text"),))
    assert content_key(np.bytes_(b"x")) == content_key(b"x")


def test_memory_layout_byte_order_and_device_copies_do_not_count():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    same = [
        np.asfortranarray(array),
        array.astype(">f4"),
        np.ascontiguousarray(array.T).T,
        np.repeat(array, 2, axis=1)[:, ::2],
        array[::-1][::-1],
    ]
    assert {content_key(other) for other in same} == {content_key(array)}
    tensor = torch.arange(24.0).reshape(4, 6)
    same_tensors = [tensor.t().contiguous().t(), tensor.clone().requires_grad_(), torch.nn.Parameter(tensor)]
    assert {content_key(other) for other in same_tensors} == {content_key(tensor)}


def test_a_memory_mapped_array_has_the_key_of_its_values(tmp_path):
    array = np.arange(10.0)
    np.save(tmp_path / "a.npy", array)
    assert content_key(np.load(tmp_path / "a.npy", mmap_mode="r")) == content_key(array)


def test_padding_inside_records_does_not_count():
    layout = np.dtype([("x", "i1"), ("y", "i8")], align=True)
    one, other = np.zeros(2, layout), np.zeros(2, layout)
    other.view(np.uint8)[1] = 77  # a byte of padding between x and y
    assert content_key(one) == content_key(other)


def test_palette_and_transparency_of_an_image_count():
    one, other, third = (Image.new("P", (2, 2)) for _ in range(3))
    one.putpalette([0, 0, 0, 255, 255, 255])
    other.putpalette([9, 9, 9, 255, 255, 255])
    third.putpalette([0, 0, 0, 255, 255, 255])
    third.info["transparency"] = 0
    assert len({content_key(image) for image in (one, other, third)}) == 3


def test_an_opened_image_has_the_key_of_its_pixels(tmp_path):
    image = Image.new("RGB", (5, 4), (1, 2, 3))
    image.save(tmp_path / "i.png")
    with Image.open(tmp_path / "i.png") as opened:
        assert content_key(opened) == content_key(image)


def test_attributes_of_subclasses_count():
    one, other = Tagged("x"), Tagged("x")
    one.tag, other.tag = "a", "b"
    assert content_key(one) != content_key(other)
    assert content_key(one) != content_key("x")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda x: x != 0)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


def typed(value):
    """The value with its types spelled out, so that == tells what content_key should."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", {key: typed(item) for key, item in value.items()}
    return type(value).__name__, value


@settings(max_examples=300, deadline=None)
@given(values, values)
def test_keys_are_equal_exactly_when_type_and_content_are(one, other):
    assert (content_key(one) == content_key(other)) == (typed(one) == typed(other))


@settings(deadline=None)
@given(st.dictionaries(st.integers(), st.text(), max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_count(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert content_key(dict(items)) == content_key(value)


def test_keys_are_the_same_in_another_process_with_another_hash_seed():
    code = (
        "from quaterion_models.content_key import content_key; import numpy as np;"
        "print(content_key([{'a', 'b', 'c'}, {'k': 1, 'l': 2}, np.arange(3.0), 'text']).hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert printed == content_key([{"a", "b", "c"}, {"k": 1, "l": 2}, np.arange(3.0), "text"]).hex()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "object of type builtins.object"),
        (lambda: 0, "type builtins.function"),
        (Path("x"), "key on the file's bytes"),
        (iter([]), "list_iterator"),
        (torch.nn.Linear(1, 1), "Linear"),
        (torch.eye(2).to_sparse(), "layout torch.sparse_coo"),
        (np.ma.masked_array([1], [True]), "MaskedArray"),
        (np.zeros(1, dtype=np.longdouble), "dtype (float128|float64|longdouble)"),
        ({"deep": [object()]}, "object"),
    ],
)
def test_what_has_no_known_content_is_refused_with_advice(value, message):
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match=message):
        content_key(value)
    with pytest.raises(TypeError, match="override Encoder.cache_key"):
        content_key(value)


def test_an_object_that_contains_itself_is_refused():
    ring: list = []
    ring.append(ring)
    with pytest.raises(TypeError, match="contains itself"):
        content_key(ring)
