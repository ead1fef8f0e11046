"""Lets the reference show examples as code: griffe knows their section as Examples, and the docstrings have Example."""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the section in each docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that griffe has read."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
