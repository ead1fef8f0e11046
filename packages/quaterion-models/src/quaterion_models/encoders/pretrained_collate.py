"""The base of the collate functions of pre-trained encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from quaterion_models.content_key import content_key
from quaterion_models.encoders.pretrained_files import check_there, digests


class ToolError(ValueError):
    """The files of a model's tool cannot be loaded, which says nothing about the objects that it was to read."""


class PretrainedCollate(ABC):
    """Turns objects into a pre-trained model's input with a tool of its folder: a tokenizer, an image processor.

    The tool is loaded at the first call, in each process, so that an object of this class is small to pickle and can
    be sent to DataLoader workers. A subclass gives `files`, `load` and `collate`.

    Args:
        folder: The model's folder.
        **settings: What `collate` depends on beside the files, as plain values; kept as `settings`.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = settings
        self._tool: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tool": None}

    def __call__(self, objects: list[Any]) -> Any:
        """Collates objects.

        Args:
            objects: B objects.

        Returns:
            The model's input.

        Raises:
            TypeError: If an object is none that the model takes.
            ToolError: If the tool cannot be loaded.
        """
        return self.collate(self.tool(), objects)

    def tool(self) -> Any:
        """Returns the tool, loaded if it was not.

        Raises:
            ToolError: If it cannot be loaded.
        """
        if self._tool is None:
            try:
                check_there(self.folder)
                self._tool = self.load()
            except (ValueError, OSError) as error:
                raise ToolError(str(error)) from error
        return self._tool

    @abstractmethod
    def files(self) -> list[Path]:
        """Lists the files that the input depends on."""

    @abstractmethod
    def load(self) -> Any:
        """Loads the tool from the folder, without network and without code that the folder brings along."""

    @abstractmethod
    def collate(self, tool: Any, objects: list[Any]) -> Any:
        """Turns objects into the model's input.

        Args:
            tool: What `load` returned.
            objects: B objects.

        Returns:
            Tensors, or a nest of them.
        """

    def fingerprint(self) -> str:
        """Digests the settings and the files, wherever they lie, and not what has been loaded."""
        return content_key((self.settings, digests(self.folder, self.files()))).hex()
