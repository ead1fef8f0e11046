"""An encoder for vectors that were computed elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.given_vectors import as_row, check_finite, stack_rows
from quaterion_models.encoders.vector_lookup import VectorLookup
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.names import name_in_batch
from quaterion_models.types import CollateFnType

_ALGORITHM = "1"  # to be raised when this file gives other vectors for the same objects
_OWN = frozenset({"_size", "_normalize", "_lookup", "_place"})


class VectorEncoder(Encoder):
    """Passes vectors through that were computed elsewhere: by an API, another program, another model.

    Objects are the vectors themselves: arrays, tensors or lists of numbers. An encoder that `from_npy` or
    `from_parquet` made takes ids instead and looks their vectors up. Each vector is checked: its length, and that
    all its numbers are finite. A list given to `encode` is many objects: pass `[vector]` for a single list of numbers.

    Args:
        embedding_size: Length of the vectors.
        normalize: Whether to scale every vector to length 1.
        lookup: What ids stand for; None where objects are vectors.

    Raises:
        ValueError: If `embedding_size` is no positive integer, or not the size of the vectors that are looked up.

    Example:
        >>> encoder = VectorEncoder(2, normalize=True)
        >>> encoder(encoder.get_collate_fn()([[3.0, 4.0], torch.tensor([0.0, 2.0])]))
        tensor([[0.6000, 0.8000],
                [0.0000, 1.0000]])
    """

    _place: Tensor

    def __init__(self, embedding_size: int, *, normalize: bool = False, lookup: VectorLookup | None = None) -> None:
        super().__init__()
        self._size = positive_size(embedding_size, "embedding_size")
        if lookup is not None and lookup.size != self._size:
            raise ValueError(f"embedding_size is {self._size}, but the vectors to look up have size {lookup.size}")
        self._normalize = normalize
        self._lookup = lookup
        # Goes where the module goes, and so tells the vectors where to go.
        self.register_buffer("_place", torch.zeros(0), persistent=False)

    @classmethod
    def from_npy(
        cls, path: str | os.PathLike[str], *, keys: Sequence[Any] | None = None, normalize: bool = False
    ) -> Self:
        """Builds an encoder of row numbers, or of keys, whose vectors lie in a `.npy` file.

        The file is mapped into memory, so it may be larger than that; it must not change while it is used. Pickled
        arrays are refused.

        Args:
            path: A file that `numpy.save` wrote, of real numbers `[rows, size]`.
            keys: What each row belongs to (ids, texts, any objects with a content key); None where objects are row
                numbers.
            normalize: As for the class.

        Returns:
            The encoder.

        Raises:
            ValueError: If the file is damaged or of another form, or the keys do not fit it.
            OSError: If it cannot be opened.
        """
        lookup = VectorLookup.from_npy(Path(path), keys)
        return cls(lookup.size, normalize=normalize, lookup=lookup)

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str], *, key: str, vector: str, normalize: bool = False) -> Self:
        """Builds an encoder of keys whose vectors stand beside them in a Parquet file; they are read into memory.

        Needs the extra `parquet`.

        Args:
            path: The file.
            key: Column of ids or texts: the objects of this encoder.
            vector: Column of lists of numbers.
            normalize: As for the class.

        Returns:
            The encoder.

        Raises:
            ImportError: If the extra is not installed.
            ValueError: If the file is damaged, a column is missing, a vector is missing or of another length than the
                others, or a key stands there twice.
            OSError: If the file cannot be opened.
        """
        lookup = VectorLookup.from_parquet(Path(path), key, vector)
        return cls(lookup.size, normalize=normalize, lookup=lookup)

    @property
    def trainable(self) -> bool:
        """Never: there is nothing to train."""
        return False

    @property
    def embedding_size(self) -> int:
        """Length of the vectors."""
        return self._size

    def get_collate_fn(self) -> CollateFnType:
        """Returns the function that checks vectors, or looks them up, and puts them together as `[B, size]`."""
        return partial(_collate, self._size, self._lookup)

    def forward(self, batch: Tensor) -> Tensor:
        """Passes vectors through.

        Args:
            batch: `[B, embedding_size]`.

        Returns:
            `[B, embedding_size]`, in the dtype and on the device of this module.
        """
        vectors = batch.to(self._place)
        return F.normalize(vectors, dim=1) if self._normalize else vectors

    def cache_key(self, obj: Any) -> bytes:
        """Keys on the numbers, whatever holds them; where ids are looked up, on the row."""
        if self._lookup is not None:
            return content_key(self._lookup.row(obj))
        return content_key(stack_rows([as_row(obj, self._size, "the object")], self._size)[0].numpy())

    def fingerprint(self) -> str:
        """Digests the settings and the vectors to look up; of a subclass its code and attributes count too.

        Returns:
            32 hexadecimal digits.

        Raises:
            ValueError: If the file that vectors are looked up in has been changed in place.
        """
        from quaterion_models.fingerprint import digest_beyond

        stored = None if self._lookup is None else self._lookup.digest()
        beyond = digest_beyond(self, VectorEncoder, _OWN)
        content = (_ALGORITHM, self._size, self._normalize, str(self._place.dtype), stored, beyond)
        return blake2b(content_key(content), digest_size=16, person=b"vectors").hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the settings, and a copy of the vectors to look up.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.files import ENCODER_CONFIG, FORMAT_VERSION, write_json
        from quaterion_models.saving.registry import type_name

        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        lookup = None
        if self._lookup is not None:
            self._lookup.save(folder)
            lookup = "keys" if self._lookup.keyed else "rows"
        settings = {"embedding_size": self._size, "normalize": self._normalize}
        kind = type_name(type(self))
        content = {"format_version": FORMAT_VERSION, "type": kind, "args": settings, "lookup": lookup}
        write_json(folder / ENCODER_CONFIG, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder again from a folder that `save` wrote; vectors to look up are mapped.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        from quaterion_models.saving.files import (
            ENCODER_CONFIG,
            ModelFolderError,
            check_inside,
            check_version,
            field,
            read_json,
        )

        folder = Path(path)
        check_inside(folder, folder)
        config = folder / ENCODER_CONFIG
        content = read_json(config)
        check_version(content, config)
        settings = field(content, "args", dict, config)
        size = field(settings, "embedding_size", int, config)
        normalize = field(settings, "normalize", bool, config)
        kind = field(content, "lookup", (str, type(None)), config)
        try:
            lookup = None if kind is None else VectorLookup.open(folder, keyed=kind == "keys")
            return cls(size, normalize=normalize, lookup=lookup)
        except (ValueError, OSError) as error:
            raise ModelFolderError(f"{config}: the encoder cannot be built: {error}") from error


# A function of a module, not a closure, so that a partial of it is picklable for DataLoader workers.
def _collate(size: int, lookup: VectorLookup | None, objects: list[Any]) -> Tensor:
    def which(place: int) -> str:
        return name_in_batch("object", place, len(objects))

    def what(place: int) -> str:
        return which(place) if lookup is None else f"the vector of object {objects[place]!r:.80}"

    if lookup is None:
        rows = [as_row(obj, size, which(place)) for place, obj in enumerate(objects)]
    else:
        rows = lookup.take([lookup.row(obj, which(place)) for place, obj in enumerate(objects)])
    matrix = stack_rows(rows, size)
    check_finite(matrix, what)
    return matrix
