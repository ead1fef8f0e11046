"""An encoder made of any function from objects to vectors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from quaterion_models.code_origin import module_name
from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.given_vectors import as_matrix
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.types import CollateFnType


class ObjectBatch:
    """A batch as it came: nothing moves it to a device or takes it apart on its way.

    Args:
        objects: The objects.
    """

    __slots__ = ("objects",)

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects


class CallableEncoder(Encoder):
    """Encodes with a function: the client of an embedding API, a model of another framework, features made by hand.

    Its vectors are cached under name and version, so a call that was paid for is not made again; the code of the
    function does not count. Raise the version whenever the function gives other vectors.

    The function is never saved. To load a model that has one, pass the encoder again:
    `SimilarityModel.load(folder, encoders={"default": CallableEncoder(function, ...)})`, or write a subclass whose
    constructor has the function and pass `classes=[TheSubclass]`. Name, version and size are compared with the saved
    ones.

    Args:
        function: Gets a list of objects, returns a vector for each: an array or tensor `[n, embedding_size]` on any
            device, or a list of vectors. It runs where the encoder runs, not in the workers of a loader.
        embedding_size: Length of the vectors.
        version: What the vectors depend on: the name of the API's model, a date, a commit.
        name: What to call the function in the cache and in messages; by default its module and name.

    Raises:
        TypeError: If `function` cannot be called, or `version` is no text.
        ValueError: If `version` is empty, or the function has no name of its own and none is given.

    Example:
        >>> def letters(texts):
        ...     return [[len(text), text.count("a")] for text in texts]
        >>> encoder = CallableEncoder(letters, 2, version="1")
        >>> encoder(encoder.get_collate_fn()(["banana", "fig"]))
        tensor([[6., 3.],
                [3., 0.]])
    """

    function: Callable[[list[Any]], Any]
    _place: Tensor

    def __init__(
        self, function: Callable[[list[Any]], Any], embedding_size: int, *, version: str, name: str | None = None
    ) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"function must take a list of objects and return vectors, got {function!r:.80}")
        if not isinstance(version, str) or not isinstance(name, (str, type(None))):
            raise TypeError(f"version and name must be text, got {version!r:.80} and {name!r:.80}")
        if not version:
            raise ValueError('version must say what the vectors depend on, such as "2026-01" or a commit; got ""')
        # Not through nn.Module: a function that is a torch module must not become a part that is saved and trained.
        self.__dict__["function"] = function
        self._size = positive_size(embedding_size, "embedding_size")
        self._made_by = version  # nn.Module has a _version of its own
        self._name = name or _name_of(function)
        # Goes where the module goes, and so tells the vectors where to go.
        self.register_buffer("_place", torch.zeros(0), persistent=False)

    @property
    def trainable(self) -> bool:
        """Never: no gradient goes through the function."""
        return False

    @property
    def embedding_size(self) -> int:
        """Length of the vectors."""
        return self._size

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and size: what is saved, and compared when a model is loaded."""
        return {"name": self._name, "version": self._made_by, "embedding_size": self._size}

    def get_collate_fn(self) -> CollateFnType:
        """Returns the function that keeps the objects as they are."""
        return ObjectBatch

    def forward(self, batch: ObjectBatch) -> Tensor:
        """Calls the function with the list of objects and checks what it returns.

        Args:
            batch: What the collate function returned for B objects.

        Returns:
            `[B, embedding_size]`.

        Raises:
            TypeError: If the function returned anything but numbers.
            ValueError: If there are not B vectors of `embedding_size` finite numbers.
        """
        objects = batch.objects
        with torch.no_grad():
            vectors = self.function(list(objects))

        def what(row: int) -> str:
            return f"the vector that {self._name} gave for object {row} of the batch ({objects[row]!r:.60})"

        return as_matrix(vectors, len(objects), self._size, what, self._name).to(self._place)

    def fingerprint(self) -> str:
        """Digests name, version, size and dtype.

        Returns:
            32 hexadecimal digits.
        """
        content = (self._name, self._made_by, self._size, str(self._place.dtype))
        return blake2b(content_key(content), digest_size=16, person=b"callable").hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes name, version and size; not the function.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.callable_folder import save_callable_encoder

        save_callable_encoder(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds a subclass whose constructor has the function; for one that is given the function, says what to do.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If the function is not known, or name, version or size differ from the saved ones.
        """
        from quaterion_models.saving.callable_folder import load_callable_encoder

        return load_callable_encoder(cls, Path(path))


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str) or "<lambda>" in name:
        raise ValueError(f"{function!r:.80} has no name to keep its vectors under: give one, name=...")
    module = module_name(getattr(function, "__module__", None))
    if module == "__main__":  # as the module is called where the script is imported
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or module).stem
    return f"{module}:{name}"
