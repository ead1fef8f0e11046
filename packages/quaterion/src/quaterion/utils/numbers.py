"""What counts as a number where a user passes one: Python's own and numpy's, but no truth values."""

from numbers import Integral, Real
from typing import Any

__all__ = ["is_number", "is_whole_number"]


def is_whole_number(value: Any) -> bool:
    """Whether a value is an int, of Python or of numpy.

    Args:
        value: Anything.

    Example:
        >>> is_whole_number(3), is_whole_number(3.0), is_whole_number(True)
        (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float, of Python or of numpy; NaN and the infinities are.

    Args:
        value: Anything.

    Example:
        >>> is_number(0.5), is_number("0.5"), is_number(True)
        (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)
