import collections
import sys

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models.encode import as_objects, eval_mode

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        (["a", "b"], 2),
        (("a", "b", "c"), 3),
        (range(4), 4),
        (np.zeros((5, 3)), 5),
        (np.array(["a", "b"]), 2),
        (np.array([{"a": 1}, None], dtype=object), 2),
        (torch.zeros(3, 2), 3),
        (torch.zeros(3, 2, 2), 3),
        ([], 0),
        ((), 0),
        (np.zeros((0, 3)), 0),
        (np.array([], dtype=str), 0),
        (torch.zeros(0, 2), 0),
    ],
)
def test_many_objects(inputs, count):
    assert len(as_objects(inputs)) == count


@pytest.mark.parametrize(
    "one",
    [
        "text",
        b"bytes",
        bytearray(b"x"),
        {"field": 1},
        Point(1, 2),
        np.zeros(3),
        np.array("text"),
        torch.zeros(3),
        7,
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_object(one):
    objects = as_objects(one)
    assert len(objects) == 1
    assert objects[0] is one


@pytest.mark.parametrize("inputs", [iter(["a"]), (text for text in "ab"), {"a", "b"}, frozenset({"a"}), map(str, [])])
def test_iterators_and_sets_are_refused(inputs):
    with pytest.raises(TypeError, match=r"takes a list, tuple, array or one object, got \w+: pass list\(\.\.\.\)"):
        as_objects(inputs)


def test_eval_mode_restores_every_submodule_even_after_an_error():
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()))
    module[1][0].eval()
    modes = [part.training for part in module.modules()]
    with eval_mode(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == modes
    with pytest.raises(ZeroDivisionError), eval_mode(module):
        1 / 0  # noqa: B018
    assert [part.training for part in module.modules()] == modes


def test_a_progress_bar_needs_the_extra(monkeypatch):
    from quaterion_models.encode import _progress

    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'rich is not installed. Type: pip install "quaterion-models\[progress\]"'):
        _progress(3, enabled=True).__enter__()
