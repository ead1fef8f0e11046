"""Weights that are read when they are needed, in the precision that is asked for."""

import copy
import pickle

import torch
from torch import nn

from quaterion_models.encoders.frozen_model import FrozenModel

CPU = torch.device("cpu")


class Reads:
    """Makes layers, and remembers in which precisions."""

    def __init__(self):
        self.dtypes = []

    def __call__(self, dtype):
        self.dtypes.append(dtype)
        return nn.Linear(2, 2, dtype=dtype)


def test_the_model_is_read_once_for_a_precision_and_is_frozen():
    frozen, read = FrozenModel(), Reads()
    model = frozen.placed(CPU, torch.float32, read)
    assert frozen.placed(CPU, torch.float32, read) is model is frozen.model
    assert not model.training and not any(one.requires_grad for one in model.parameters())
    assert frozen.placed(CPU, torch.float16, read).weight.dtype == torch.float16
    assert read.dtypes == [torch.float32, torch.float16]


def test_it_follows_the_device_without_being_read_again():
    frozen, read = FrozenModel(), Reads()
    frozen.placed(CPU, torch.float32, read)
    assert frozen.placed(torch.device("meta"), torch.float32, read).weight.is_meta
    assert read.dtypes == [torch.float32]


def test_copies_pickles_and_what_was_forgotten_have_no_weights_and_read_them_again():
    frozen, read = FrozenModel(), Reads()
    frozen.placed(CPU, torch.float32, read)
    for one in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert one.model is None
        assert one.placed(CPU, torch.float32, read).weight.shape == (2, 2)
    assert frozen.model is not None
    frozen.forget()
    assert frozen.model is None
    frozen.placed(CPU, torch.float32, read)
    assert read.dtypes == [torch.float32] * 4
