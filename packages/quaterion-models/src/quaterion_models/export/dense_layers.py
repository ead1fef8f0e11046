"""Heads as dense layers: matrices, biases and activations that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quaterion_models.heads import (
    EmptyHead,
    GatedHead,
    SequentialHead,
    SkipConnectionHead,
    StackedProjectionHead,
    WideningHead,
)
from quaterion_models.heads.encoder_head import EncoderHead

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "leaky_relu": nn.LeakyReLU,
    "softplus": nn.Softplus,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
}


class DenseLayer(NamedTuple):
    """A layer: activation(x · weightᵀ + bias).

    Attributes:
        weight: float64 `[out, in]`.
        bias: float64 `[out]`.
        activation: Class of the activation, built without arguments.
    """

    weight: Tensor
    bias: Tensor
    activation: type[nn.Module] = nn.Identity


def dense_layers(head: EncoderHead) -> list[DenseLayer]:
    """Folds a head, as it computes in eval mode.

    Args:
        head: The head.

    Returns:
        Layers, in order; none for a head that passes vectors through. Those without an activation between them are
        one.

    Raises:
        ValueError: If it computes something else than dense layers do; the message says what.

    Example:
        >>> head = GatedHead(2)
        >>> (layer,) = dense_layers(head)
        >>> layer.weight.round(decimals=2)
        tensor([[0.9600, 0.0000],
                [0.0000, 0.9600]], dtype=torch.float64)
    """
    fold = _FOLDS.get(type(head))
    if fold is None:
        reason = _REASONS.get(type(head).__name__, "its code is its own, and need not be a matrix product")
        raise ValueError(f"a {type(head).__name__} cannot be folded into dense layers: {reason}")
    with torch.no_grad():
        return _joined(fold(head))


def _joined(layers: Iterable[DenseLayer]) -> list[DenseLayer]:
    """Multiplies layers out that have no activation between them."""
    joined: list[DenseLayer] = []
    for layer in layers:
        if joined and joined[-1].activation is nn.Identity:
            before = joined.pop()
            weight, bias = layer.weight @ before.weight, layer.weight @ before.bias + layer.bias
            joined.append(DenseLayer(weight, bias, layer.activation))
        else:
            joined.append(layer)
    return joined


def _linear(layer: nn.Linear, activation: type[nn.Module] = nn.Identity) -> DenseLayer:
    weight = layer.weight.detach().cpu().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if layer.bias is None else layer.bias.detach().cpu().double()
    return DenseLayer(weight, bias, activation)


def _identity(size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64)


def _empty(head: EmptyHead) -> list[DenseLayer]:  # noqa: ARG001 - the table calls all of them alike
    return []


def _gated(head: GatedHead) -> list[DenseLayer]:
    gates = torch.tanh(head.gates.detach().cpu().double())
    return [DenseLayer(torch.diag(gates), torch.zeros_like(gates))]


def _skip_connection(head: SkipConnectionHead) -> list[DenseLayer]:
    layers = []
    for layer, gate in zip(head.layers, head.gates, strict=True):
        one, share = _linear(layer), torch.sigmoid(gate.detach().cpu().double())  # type: ignore[arg-type]
        layers.append(DenseLayer(_identity(len(share)) + share[:, None] * one.weight, share * one.bias))
    return layers


def _stacked(head: StackedProjectionHead) -> list[DenseLayer]:
    activation = _named_activation(head)
    *first, last = head.layers
    return [*(_linear(layer, activation) for layer in first), _linear(last)]  # type: ignore[arg-type]


def _widening(head: WideningHead) -> list[DenseLayer]:
    return [_linear(head.widen, _named_activation(head)), _linear(head.narrow)]


def _named_activation(head: EncoderHead) -> type[nn.Module]:
    return _ACTIVATIONS[head.get_config_dict().get("activation_fn", "relu")]


def _sequential(head: SequentialHead) -> list[DenseLayer]:
    layers: list[DenseLayer] = []
    for module in head.layers:
        if isinstance(module, (nn.Dropout, nn.Identity)):
            continue
        if type(module) is nn.Linear:
            layers.append(_linear(module))
            continue
        # An activation with arguments of its own would be built without them.
        if type(module) not in _ACTIVATIONS.values() or repr(module) != repr(type(module)()):
            raise ValueError(
                f"a SequentialHead with {module} cannot be folded into dense layers: only nn.Linear, nn.Dropout and "
                f"{', '.join(one.__name__ for one in _ACTIVATIONS.values())} without arguments can be"
            )
        if layers and layers[-1].activation is nn.Identity:
            layers[-1] = layers[-1]._replace(activation=type(module))
        else:
            size = len(layers[-1].bias) if layers else _first_size(head)
            layers.append(DenseLayer(_identity(size), torch.zeros(size, dtype=torch.float64), type(module)))
    return layers


def _first_size(head: SequentialHead) -> int:
    # Nothing before the first linear layer changes the size.
    return next((module.in_features for module in head.layers if type(module) is nn.Linear), head.output_size)


_FOLDS: dict[type[EncoderHead], Callable[[Any], list[DenseLayer]]] = {
    EmptyHead: _empty,
    GatedHead: _gated,
    SkipConnectionHead: _skip_connection,
    StackedProjectionHead: _stacked,
    WideningHead: _widening,
    SequentialHead: _sequential,
}
_REASONS = {
    "SwitchHead": "it chooses among several heads for each object",
    "SoftmaxEmbeddingsHead": "its softmax works within groups of components",
}
