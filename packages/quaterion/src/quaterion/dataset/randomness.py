"""Reading a data set without disturbing the random numbers that training will draw."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["undisturbed_randomness"]


@contextmanager
def undisturbed_randomness() -> Iterator[None]:
    """Restores the global random states of Python, NumPy and torch on exit.

    Example:
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> with undisturbed_randomness():
        ...     first = torch.rand(1)
        >>> bool(first == torch.rand(1))
        True
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state others draw from
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
