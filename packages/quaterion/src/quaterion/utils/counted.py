"""Numbers of things in text."""

__all__ = ["counted"]


def counted(number: int, what: str) -> str:
    """A number with what it counts.

    Args:
        number: How many.
        what: The noun in the singular.

    Example:
        >>> counted(1, "pair"), counted(2500, "pair")
        ('1 pair', '2,500 pairs')
    """
    return f"{number:,} {what}{'s' * (number != 1)}"
