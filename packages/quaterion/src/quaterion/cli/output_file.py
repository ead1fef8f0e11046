"""Files that commands write."""

from pathlib import Path

__all__ = ["check_writable"]


def check_writable(file: Path) -> None:
    """Finds out before the work begins whether its result can be written; makes the folder, and leaves no file.

    Args:
        file: The file.

    Raises:
        OSError: It cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    new = not file.exists()
    file.open("a", encoding="utf-8").close()
    if new:
        file.unlink()
