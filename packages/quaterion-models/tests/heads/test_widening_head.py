import pytest
import torch

from quaterion_models.heads import WideningHead


def test_widens_activates_and_narrows():
    head = WideningHead(3, expansion_factor=2.5, activation_fn="sigmoid")
    assert head.widen.weight.shape == (7, 3)  # 2.5 · 3, rounded down
    x = torch.randn(4, 3)
    torch.testing.assert_close(head(x), head.narrow(torch.sigmoid(head.widen(x))))
    assert head.output_size == 3


def test_is_saved_and_loaded(tmp_path):
    head = WideningHead(3, 1.5, "silu", 0.1)
    head.save(tmp_path)
    x = torch.rand(2, 3)
    assert torch.equal(WideningHead.load(tmp_path).eval()(x), head.eval()(x))


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.1, float("nan")])
def test_a_factor_that_leaves_no_unit_is_refused(factor):
    with pytest.raises(ValueError, match="at least one hidden unit, got"):
        WideningHead(3, expansion_factor=factor)
