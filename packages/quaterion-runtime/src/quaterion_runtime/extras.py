"""Optional dependencies: imported where they are needed, with an error that says how to install them."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Imports an optional dependency.

    Args:
        module: Name of the module, such as `"PIL.Image"`.
        extra: The extra that installs it.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message holds the `pip install` to type.

    Example:
        >>> require("no_such_module", extra="images")
        Traceback (most recent call last):
        ImportError: no_such_module is not installed. Type: pip install "quaterion-runtime[images]"
    """
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise ImportError(f'{top} is not installed. Type: pip install "quaterion-runtime[{extra}]"', name=top)
    return importlib.import_module(module)
