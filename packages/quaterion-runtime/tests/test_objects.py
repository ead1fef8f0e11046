from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from quaterion_runtime.folder import read_folder
from quaterion_runtime.objects import as_objects, as_stream, graph_for


class Record(NamedTuple):
    title: str


ONE = [
    "text",
    b"bytes",
    bytearray(b"b"),
    {"title": "a"},
    Record("a"),
    np.zeros(3),
    np.array("a"),
    3,
    None,
    Path("a.png"),
]
MANY = [(["a", "b"], 2), (("a",), 1), (range(3), 3), (np.zeros((5, 3)), 5), (np.zeros((2, 3, 4)), 2), ([], 0),
        (np.array(["a", "b"]), 2), (np.array([{"a": 1}, None, 2], dtype=object), 3), (np.zeros(0), 0)]  # fmt: skip


@pytest.mark.parametrize("obj", ONE, ids=lambda obj: type(obj).__name__)
def test_one_object_becomes_a_list_of_one(obj):
    assert len(as_objects(obj)) == 1
    assert as_objects(obj)[0] is obj
    with pytest.raises(TypeError, match=f"takes an iterable of objects, got one object of type {type(obj).__name__}"):
        as_stream(obj)


@pytest.mark.parametrize(("objects", "count"), MANY)
def test_many_objects_are_taken_apart(objects, count):
    assert len(as_objects(objects)) == count
    assert len(list(as_stream(objects))) == count


@pytest.mark.parametrize("objects", [iter(["a"]), {"a"}, frozenset("a"), {"a": 1}.keys(), {"a": 1}.values()])
def test_without_length_or_order_only_a_stream_takes_them(objects):
    with pytest.raises(
        TypeError, match=rf"got {type(objects).__name__}: pass list\(\.\.\.\) of it, or use encode_stream"
    ):
        as_objects(objects)
    assert len(list(as_stream(objects))) == 1


def test_each_kind_of_object_has_its_graph(golden):
    graphs = read_folder(golden / "switched").graphs
    images = [Path("a.png"), b"bytes", Image.new("RGB", (1, 1)), np.zeros((4, 4)), np.zeros((4, 4, 3)), bytearray(b"b")]
    assert [graph_for(obj, graphs, 0) for obj in ["text", np.str_("text"), *images]] == [0, 0, *[1] * len(images)]
    for obj in (np.zeros(3), [1.0, 2.0], 3, None, {"a": 1}):
        with pytest.raises(TypeError, match=f"takes text or image, got {type(obj).__name__} at position 8"):
            graph_for(obj, graphs, 8)
        assert graph_for(obj, graphs[:1], 0) == 0  # one graph takes all; what prepares its objects says more
