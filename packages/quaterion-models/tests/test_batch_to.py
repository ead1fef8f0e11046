from typing import NamedTuple

import torch

from quaterion_models.batch_to import to_device


class Pair(NamedTuple):
    one: torch.Tensor
    other: object


class Movable:
    def to(self, device):
        self.device = device
        return self


def test_every_tensor_of_a_nest_is_moved_and_the_rest_stays():
    tensor = torch.ones(2)
    marker = object()
    moved = to_device({"a": [tensor, marker], "b": Pair(tensor, "text"), "c": (tensor, 3)}, "meta")
    assert moved["a"][0].is_meta
    assert moved["a"][1] is marker
    assert isinstance(moved["b"], Pair)
    assert moved["b"].one.is_meta
    assert moved["b"].other == "text"
    assert moved["c"][0].is_meta
    assert moved["c"][1] == 3
    assert not tensor.is_meta


def test_objects_that_can_move_themselves_do():
    assert to_device([Movable()], "cpu")[0].device == "cpu"


def test_lists_move_whatever_stands_first_in_them():
    moved = to_device({"parts": [torch.ones(3), torch.ones(2)], "mixed": ["a", {}, torch.ones(2)]}, "meta")
    assert [part.device.type for part in moved["parts"]] == ["meta", "meta"]
    assert moved["mixed"][:2] == ["a", {}]
    assert moved["mixed"][2].device.type == "meta"
