import pytest
import torch

from quaterion_models.heads import SkipConnectionHead


def test_adds_a_gated_linear_layer_of_the_input_each_time():
    torch.manual_seed(0)
    head = SkipConnectionHead(4, n_layers=2).double()
    for gate in head.gates:
        torch.nn.init.normal_(gate)
    x = torch.rand(3, 4, dtype=torch.float64)
    expected = x
    for layer, gate in zip(head.layers, head.gates, strict=True):
        expected = expected + 1 / (1 + torch.exp(-gate)) * (expected @ layer.weight.T + layer.bias)
    torch.testing.assert_close(head(x), expected)


def test_starts_close_to_the_identity():
    head = SkipConnectionHead(4)
    assert head.gates[0].tolist() == [-4.0] * 4
    x = torch.rand(10, 4)
    # sigmoid(-4) < 0.018, and |Linear(x)| ≤ 4·½ + ½ for x in 0..1 at the default initialisation.
    assert (head(x) - x).abs().max() < 0.018 * 2.5


def test_skip_dropout_leaves_what_skips_the_layer_alone():
    head = SkipConnectionHead(1000, skip_dropout=1.0)
    x = torch.rand(2, 1000)
    expected = x + torch.sigmoid(torch.tensor(-4.0)) * head.layers[0].bias
    torch.testing.assert_close(head(x), expected)


def test_is_saved_and_loaded(tmp_path):
    head = SkipConnectionHead(4, dropout=0.1, skip_dropout=0.2, n_layers=3)
    head.save(tmp_path)
    loaded = SkipConnectionHead.load(tmp_path).eval()
    x = torch.rand(2, 4)
    assert torch.equal(loaded(x), head.eval()(x))
    assert loaded.skip_dropout.p == 0.2


def test_no_layers_are_refused():
    with pytest.raises(ValueError, match="n_layers must be an integer of at least 1, got 0"):
        SkipConnectionHead(4, n_layers=0)
