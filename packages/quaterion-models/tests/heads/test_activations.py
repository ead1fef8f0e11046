import pytest
import torch

from quaterion_models.heads.activations import activation


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "sigmoid", "silu", "elu", "leaky_relu", "softplus", "mish"])
def test_known_names_give_functions_of_the_same_shape(name):
    assert activation(name)(torch.zeros(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("name", ["RELU", "linear", "boolean_dispatch", "__builtins__", "torch", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"activation_fn must be one of relu, .*got"):
        activation(name)
