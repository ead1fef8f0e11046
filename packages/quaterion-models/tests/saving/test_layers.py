import inspect

import pytest
import torch
from torch import nn

from quaterion_models.saving import layers
from quaterion_models.saving.arguments import decode_value, encode_value
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.layers import layer_from_spec, layer_to_spec


class Taking(nn.Module):
    def __init__(self, *sizes):
        super().__init__()


def restored(spec):
    return layer_from_spec(spec, decode_value, (), where="config.json")


@pytest.mark.parametrize("name", layers._LAYERS)
def test_every_layer_of_the_list_tells_all_its_arguments(name):
    cls = layers._LAYERS[name]
    needed = {
        "in_features": 4,
        "out_features": 4,
        "num_features": 4,
        "in_channels": 4,
        "out_channels": 4,
        "kernel_size": 3,
        "normalized_shape": 4,
        "num_groups": 2,
        "num_channels": 4,
        "output_size": 2,
        "dim": 1,
        "unflattened_size": (2, 2),
        "dim1": 1,
        "dim2": 2,
    }
    required = [
        parameter.name
        for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    layer = cls(**{key: needed[key] for key in required})
    spec = layer_to_spec(layer, encode_value)
    assert spec["type"] == name
    assert repr(restored(spec)) == repr(layer)


def test_the_flag_bias_is_told_from_the_parameter():
    assert layer_to_spec(nn.Linear(2, 2), encode_value)["args"]["bias"] is True
    assert layer_to_spec(nn.Linear(2, 2, bias=False), encode_value)["args"]["bias"] is False


def test_arguments_that_cannot_be_told_are_an_error():
    with pytest.raises(TypeError, match="the arguments of .*Taking cannot be told"):
        layer_to_spec(Taking(1, 2), encode_value)
    with pytest.raises(TypeError, match="has no attribute 'in1_features'|no attribute"):
        layer_to_spec(
            type("Own", (nn.Module,), {"__init__": lambda self, lost: nn.Module.__init__(self)})(1), encode_value
        )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, "must be described by its type"),
        ({}, "must be described by its type"),
        ({"type": "Linear"}, "must have a dict of arguments"),
        ({"type": "Linear", "args": {"in_features": "x", "out_features": 2}}, "cannot be built from its arguments"),
        ({"type": "Linear", "args": {"in_features": 2, "out_features": 10**20}}, "cannot be built from its arguments"),
        ({"type": "Sequential"}, "must have a list of layers"),
        ({"type": "Sequential", "layers": [["0"]]}, "pairs of a name and a layer"),
        ({"type": "Sequential", "layers": [["0", 3]]}, "must hold layers"),
    ],
)
def test_damaged_descriptions_are_named(spec, message):
    with pytest.raises(ModelFolderError, match=rf"config\.json.*{message}"), torch.device("meta"):
        restored(spec)
