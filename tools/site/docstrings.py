"""Lets the reference show the examples of docstrings as code: griffe knows the section as Examples, we write Example."""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Renames the section in each docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
