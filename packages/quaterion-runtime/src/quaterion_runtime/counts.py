"""Checking of numbers that count something."""

from __future__ import annotations


def positive(name: str, value: int) -> int:
    """Checks a count.

    Args:
        name: What it is called, for the message.
        value: The count.

    Returns:
        The same.

    Raises:
        ValueError: If it is no whole number of 1 or more.

    Example:
        >>> positive("batch_size", 32)
        32
    """
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")
    return value
