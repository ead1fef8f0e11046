"""How long a search may take: "90s", "10m", or seconds as a number."""

import re

__all__ = ["seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def seconds_of(budget: str | float) -> float:
    """Reads a time.

    Args:
        budget: A number of seconds, or a number with the unit s, m or h.

    Returns:
        Seconds.

    Raises:
        ValueError: It is no time, or not above 0.

    Example:
        >>> seconds_of("2m"), seconds_of("1.5h"), seconds_of(30)
        (120.0, 5400.0, 30.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h|)\s*", str(budget).lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds > 0:
        raise ValueError(f"budget={budget!r}; expected a time above 0, such as '90s', '10m' or '1h'.")
    return seconds
