"""The final training can be stopped."""

import os
import signal
import threading

import pytest

from quaterion.tuning import Part, Recipe
from quaterion.tuning.training.fit_recipe import fit_recipe
from quaterion_models.encoders import VectorEncoder


def test_ctrl_c_in_the_final_training(noisy):
    recipe = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), epochs=1_000_000, batch_size=64)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            fit_recipe(recipe, {"default": VectorEncoder(32)}, noisy.group_samples(), cache=None, stores={})
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
