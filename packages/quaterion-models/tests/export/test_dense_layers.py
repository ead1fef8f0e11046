"""Heads folded into dense layers give what the heads give."""

import pytest
import torch
from torch import nn

from quaterion_models.export.dense_layers import _ACTIVATIONS, dense_layers
from quaterion_models.heads import (
    EmptyHead,
    GatedHead,
    SequentialHead,
    SkipConnectionHead,
    SoftmaxEmbeddingsHead,
    StackedProjectionHead,
    SwitchHead,
    WideningHead,
)

HEADS = {
    "empty": (lambda: EmptyHead(6), 0),
    "gated": (lambda: GatedHead(6, dropout=0.5), 1),
    "skip": (lambda: SkipConnectionHead(6, dropout=0.5, skip_dropout=0.5, n_layers=3), 1),
    "stacked": (lambda: StackedProjectionHead(6, [5, 4, 3], dropout=0.2), 3),
    "one projection": (lambda: StackedProjectionHead(6, [3]), 1),
    "widening": (lambda: WideningHead(6, 2.0, "tanh"), 2),
    "sequential": (
        lambda: SequentialHead(
            nn.GELU(), nn.Linear(6, 5, bias=False), nn.Dropout(), nn.Linear(5, 4), nn.ReLU(), nn.Tanh(), output_size=4
        ),
        3,
    ),
    **{name: (lambda name=name: StackedProjectionHead(6, [4, 2], name), 2) for name in _ACTIVATIONS},
}


@pytest.mark.parametrize("name", HEADS)
def test_layers_give_what_the_head_gives(name):
    build, count = HEADS[name]
    head = build().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(9, 6, generator=generator)
    layers = dense_layers(head)
    assert len(layers) == count
    found = x.double()
    for layer in layers:
        found = layer.activation()(found @ layer.weight.T + layer.bias)
    torch.testing.assert_close(found.float(), head(x).detach(), rtol=1e-5, atol=1e-5)


class Own(GatedHead):
    def transform(self, input_vectors):
        return super().transform(input_vectors) ** 2


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (SwitchHead({"a": EmptyHead(2)}, 2), "a SwitchHead cannot be folded .* it chooses among several heads"),
        (SoftmaxEmbeddingsHead(2, 3, 4), "SoftmaxEmbeddingsHead cannot be folded .* within groups of components"),
        (Own(2), "a Own cannot be folded into dense layers: its code is its own"),
        (SequentialHead(nn.Linear(2, 2), nn.LayerNorm(2), output_size=2), r"a SequentialHead with LayerNorm\(\(2,\)"),
        (SequentialHead(nn.LeakyReLU(0.3), output_size=2), r"with LeakyReLU\(negative_slope=0\.3\) cannot be folded"),
    ],
)
def test_what_is_no_dense_layer_says_why(head, message):
    with pytest.raises(ValueError, match=message):
        dense_layers(head)
