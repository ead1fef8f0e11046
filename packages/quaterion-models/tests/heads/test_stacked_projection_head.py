import pytest
import torch

from quaterion_models.heads import StackedProjectionHead


def test_activates_between_layers_and_not_after_the_last():
    head = StackedProjectionHead(3, [5, 2], activation_fn="tanh")
    x = torch.randn(4, 3)
    one, two = head.layers
    expected = torch.tanh(x @ one.weight.T + one.bias) @ two.weight.T + two.bias
    torch.testing.assert_close(head(x), expected)
    assert head.output_size == 2


def test_one_layer_is_a_linear_map():
    head = StackedProjectionHead(3, [2])
    x = torch.randn(4, 3)
    torch.testing.assert_close(head(x), head.layers[0](x))


def test_is_saved_and_loaded(tmp_path):
    head = StackedProjectionHead(3, (4, 2), "gelu", dropout=0.1)
    head.save(tmp_path)
    x = torch.rand(2, 3)
    assert torch.equal(StackedProjectionHead.load(tmp_path).eval()(x), head.eval()(x))


def test_no_layers_are_refused():
    with pytest.raises(ValueError, match="at least one layer, got none"):
        StackedProjectionHead(3, [])
