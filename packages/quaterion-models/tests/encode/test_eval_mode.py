import pytest
from torch import nn

from quaterion_models.encode.eval_mode import eval_mode


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
