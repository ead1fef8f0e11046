"""A bound on the memory that a constructor asks for, when its arguments were read from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_ALWAYS_ALLOWED = 2**26
_MOST_CALLS = 200_000
_FACTORIES = {
    *("empty", "zeros", "ones", "full", "rand", "randn", "randint", "normal", "empty_strided", "empty_permuted"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}
_RANGES = {"arange", "eye", "linspace", "logspace"}


class AllocationLimitError(Exception):
    """A constructor asks for more than a saved model of this size needs."""


class AllocationLimit(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own __init_subclass__
    """Stops whoever makes new tensors far larger than what is stored, before the memory is taken.

    Args:
        stored: Number of elements that the saved state holds. Four times as many may be made, and 2**26 in any case.

    Raises:
        AllocationLimitError: In the call that asks for too much.

    Example:
        >>> import torch
        >>> with AllocationLimit(stored=100):
        ...     _ = torch.nn.Linear(10, 10)
        >>> try:
        ...     with AllocationLimit(stored=100):
        ...         torch.nn.Linear(10**6, 10**6)
        ... except AllocationLimitError as error:
        ...     print(error)
        it asks for 1000000000000 numbers, and the folder stores 100 numbers
    """

    def __init__(self, stored: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = stored
        self._left = 4 * stored + _ALWAYS_ALLOWED
        self._calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Looks at the sizes of new tensors."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in _FACTORIES | _RANGES and str(kwargs.get("device")) != "meta":
            elements = _elements(name, args)
            self._left -= elements
            self._calls += 1
            if self._left < 0 or self._calls > _MOST_CALLS:
                asked = f"{elements} numbers" if self._left < 0 else f"more than {_MOST_CALLS} tensors"
                raise AllocationLimitError(f"it asks for {asked}, and the folder stores {self._stored} numbers")
        return func(*args, **kwargs)


def _elements(name: str, args: Sequence[Any]) -> int:
    if name in _FACTORIES:
        sizes = next((arg for arg in args if isinstance(arg, (list, tuple))), ())
        return math.prod(int(size) for size in sizes)
    numbers = [abs(arg) for arg in args if isinstance(arg, (int, float)) and not isinstance(arg, bool)]
    if name == "eye":
        return int(math.prod(numbers[:2]) if len(numbers) > 1 else math.prod(numbers) ** 2)
    return int(max(numbers, default=0))
