"""Optional dependencies: imported where they are needed, with an error that says how to install them."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def require(module: str, *, extra: str, distribution: str = "quaterion-models") -> ModuleType:
    """Imports an optional dependency.

    Args:
        module: Name of the module to import, such as `"sentence_transformers"`.
        extra: The extra of our distribution that installs it.
        distribution: Our distribution that has that extra.

    Returns:
        The imported module.

    Raises:
        ImportError: If the module is not installed; the message holds the `pip install` to type.

    Example:
        >>> require("json", extra="none").__name__
        'json'
        >>> require("no_such_module", extra="progress")
        Traceback (most recent call last):
        ImportError: no_such_module is not installed. Type: pip install "quaterion-models[progress]"
    """
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise ImportError(f'{top} is not installed. Type: pip install "{distribution}[{extra}]"', name=top) from None
    return importlib.import_module(module)
