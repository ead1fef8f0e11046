"""Lets the reference show docstrings as they are meant: examples as code, and names without the roles of Sphinx."""

import re
from typing import Any

import griffe


class HouseStyle(griffe.Extension):
    """Rewrites each docstring that is read: griffe knows the section Example as Examples, and no :meth:`roles`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that griffe has read."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r":[a-z]+:`", "`", text)
