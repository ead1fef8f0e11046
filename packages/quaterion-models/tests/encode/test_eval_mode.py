import threading

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


def test_a_module_stays_in_eval_mode_until_the_last_of_several_threads_is_done():
    module = nn.Sequential(nn.Dropout(), nn.Dropout())
    module[1].eval()
    first_left = threading.Event()
    seen = []

    def second():
        with eval_mode(module):
            entered.set()
            first_left.wait(10)
            seen.append(module[0].training)

    entered = threading.Event()
    thread = threading.Thread(target=second)
    with eval_mode(module):
        thread.start()
        assert entered.wait(10)
    first_left.set()
    thread.join()
    assert seen == [False]
    assert [part.training for part in module.modules()] == [True, True, False]


def test_a_part_may_be_put_into_eval_mode_within_the_whole():
    module = nn.Sequential(nn.Dropout())
    with eval_mode(module):
        with eval_mode(module[0]), eval_mode(module):
            assert not module[0].training
        assert not module.training and not module[0].training
    assert module.training and module[0].training
