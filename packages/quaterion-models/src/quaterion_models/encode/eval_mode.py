"""Eval mode for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import nn


class _Held(NamedTuple):
    """A module in eval mode.

    Attributes:
        users: How many want it to be.
        modes: Its parts, each with the mode that it was in before the first of them.
    """

    users: int
    modes: list[tuple[nn.Module, bool]]


# What is in eval mode now. Of several threads the first one finds the modes, and the last one brings them back.
_held: dict[nn.Module, _Held] = {}
_lock = threading.Lock()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Puts a module into eval mode, and every submodule back into its own mode afterwards.

    Several threads may do so with one module: it stays in eval mode until the last of them is done.
    """
    with _lock:
        held = _held.get(module) or _Held(0, [(part, part.training) for part in module.modules()])
        _held[module] = held._replace(users=held.users + 1)
        module.eval()
    try:
        yield
    finally:
        with _lock:
            held = _held.pop(module)
            if held.users > 1:
                _held[module] = held._replace(users=held.users - 1)
            else:
                for part, training in held.modes:
                    part.training = training
