"""What a digest of an encoder finds through the globals of its module."""

import pytest

REACHED = """
import dataclasses, functools, itertools, logging, threading
import numpy as np, torch
from torch import nn
import user_helpers
from quaterion_models.encoders import Encoder

ARRAY, TENSOR, LAYER = np.zeros(3), torch.zeros(3), nn.Linear(1, 1, bias=False)
LAYER.weight.data.fill_(1)
LOCK, LOG, COUNT, EVENTS, model = threading.Lock(), logging.getLogger("x"), itertools.count(), {}, nn.Linear(1, 1)
READY = threading.Event()

@dataclasses.dataclass(frozen=True)
class Config:
    scale: int = 1
CONFIG = Config(1)

class Norm:
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x * self.k
NORM = Norm(1)
PART, BOUND = functools.partial(pow, 2), Norm(1).__call__

@functools.lru_cache
def token(text):
    return len(text) + 1

class E(Encoder):
    trainable = False
    embedding_size = 3
    def forward(self, batch):
        from user_helpers import inside
        import user_helpers as late
        LOG.debug(next(COUNT), user_helpers.counted(), self.model)
        READY.set()
        with LOCK:
            EVENTS["n"] = token("a")
        late.by_alias(1)
        return user_helpers.scale(NORM(LAYER(batch))) + ARRAY + TENSOR + CONFIG.scale + PART(1) + BOUND(1) + inside(1)
"""
HELPERS = """
N = 0
def scale(x):
    return x * 1
def inside(x):
    return x + 2
def by_alias(x):
    return x + 3
def counted():
    global N
    N += 1
    return N
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return x * 1", "return x * 100"),
        ("return x + 2", "return x - 2"),
        ("return x + 3", "return x - 3"),
        ("ARRAY, TENSOR, LAYER = np.zeros", "ARRAY, TENSOR, LAYER = np.ones"),
        ("torch.zeros(3)", "torch.ones(3)"),
        ("fill_(1)", "fill_(2)"),
        ("Config(1)", "Config(3)"),
        ("NORM = Norm(1)", "NORM = Norm(9)"),
        ("partial(pow, 2)", "partial(pow, 3)"),
        ("Norm(1).__call__", "Norm(2).__call__"),
        ("len(text) + 1", "len(text) - 1"),
        ("N = 0", "N = 1"),
    ],
)
def test_what_an_encoder_reaches_through_globals_counts(make_module, old, new):
    def fingerprint_of(change):
        make_module("user_helpers", change(HELPERS))
        return make_module("user_reached", change(REACHED)).E().fingerprint()

    assert (HELPERS + REACHED).count(old) == 1
    before = fingerprint_of(str)
    assert fingerprint_of(str) == before
    assert fingerprint_of(lambda source: source.replace(old, new)) != before


def test_counters_caches_locks_and_names_of_attributes_do_not_count(make_module):
    helpers = make_module("user_helpers", HELPERS)
    user = make_module("user_reached", REACHED)
    before = user.E().fingerprint()
    (
        helpers.counted(),
        next(user.COUNT),
        user.token("abc"),
        user.EVENTS.update(n=1),
        user.LOCK.acquire(),
        user.READY.set(),
    )
    user.model.weight.data.add_(1)  # named by the encoder only as an attribute of its own
    assert user.E().fingerprint() == before


def test_a_global_without_known_content_is_named_with_advice(make_module):
    make_module("user_helpers", HELPERS)
    user = make_module("user_reached", REACHED.replace("CONFIG = Config(1)", "import sys; CONFIG = iter([1])"))
    with pytest.raises(TypeError, match=r"'CONFIG', named by .*Override fingerprint\(\)"):
        user.E().fingerprint()
