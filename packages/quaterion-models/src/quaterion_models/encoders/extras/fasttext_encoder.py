"""An encoder of texts by the vectors of their words."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.extras.word_vector_files import read_word_vectors
from quaterion_models.encoders.extras.word_vectors import WordVectors
from quaterion_models.names import name_in_batch
from quaterion_models.types import CollateFnType

Aggregation = Literal["avg", "min", "max"]
"""How the vectors of a text's words become one."""

_AGGREGATIONS: dict[str, Callable[..., Any]] = {"avg": np.mean, "min": np.min, "max": np.max}
_ALGORITHM = "1"  # to be raised when other vectors are computed from the same files
_OWN = frozenset({"_words", "_on_disk", "_aggregations", "_place"})


class FasttextEncoder(Encoder):
    r"""Encodes texts by fastText's vectors of their words, averaged or by component the smallest or largest.

    Words that were never seen get a vector from their character n-grams, where the file has those; otherwise they are
    left out. A text without any word gives zeros. Never trained.

    Args:
        model_path: fastText's `.bin`; word vectors in word2vec's text (`.vec`) or binary format; or a folder that
            `save` wrote. What gensim's own `save` wrote is read as well (extra `fasttext`), but it is a pickle,
            which may run any code: only pass such a file if you trust it. Saved models hold plain arrays instead.
        on_disk: Whether to map the vectors into memory instead of reading them. Works for fastText's `.bin`, folders,
            and files of gensim.
        aggregations: One or more of `"avg"`, `"min"` and `"max"`, whose results are joined in this order.

    Raises:
        ValueError: If the file is damaged or of an unknown format, or an aggregation is not known.
        ImportError: If the file is gensim's and gensim is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "tiny.vec"
        >>> _ = file.write_text("2 2\nhot 1 0\nwater 3 2\n")
        >>> encoder = FasttextEncoder(file, on_disk=False, aggregations=["avg", "max"])
        >>> encoder(encoder.get_collate_fn()(["hot water", ""]))
        tensor([[2., 1., 3., 2.],
                [0., 0., 0., 0.]])
    """

    _place: Tensor

    def __init__(
        self,
        model_path: str | os.PathLike[str],
        on_disk: bool = False,
        aggregations: Sequence[Aggregation] = ("avg",),
    ) -> None:
        super().__init__()
        self._aggregations = list(aggregations)
        if isinstance(aggregations, str) or not aggregations or not _AGGREGATIONS.keys() >= set(aggregations):
            raise ValueError(
                f"aggregations must be a list of {', '.join(map(repr, _AGGREGATIONS))}, got {aggregations!r}"
            )
        self._on_disk = bool(on_disk)
        path = Path(model_path)
        self._words = _open_folder(path, self._on_disk) if path.is_dir() else read_word_vectors(path, on_disk=on_disk)
        # Goes where the module goes, and so tells the vectors where to go.
        self.register_buffer("_place", torch.zeros(0), persistent=False)

    @property
    def trainable(self) -> bool:
        """Never."""
        return False

    @property
    def embedding_size(self) -> int:
        """Length of a word's vector times the number of aggregations."""
        return self._words.size * len(self._aggregations)

    @classmethod
    def get_tokens(cls, batch: list[str]) -> list[list[str]]:
        """Splits texts into words, at white space; override it to split otherwise.

        Args:
            batch: Texts.

        Returns:
            The words of each text.

        Raises:
            TypeError: If one is no text; the message says which.
        """
        for position, text in enumerate(batch):
            if not isinstance(text, str):
                raise TypeError(
                    f"{name_in_batch('object', position, len(batch))} must be a text, got {type(text).__name__}"
                )
        return [text.split() for text in batch]

    def get_collate_fn(self) -> CollateFnType:
        """Returns `get_tokens`."""
        return self.get_tokens

    def forward(self, batch: list[list[str]]) -> Tensor:
        """Looks the words up and aggregates their vectors.

        Args:
            batch: The words of B texts.

        Returns:
            `[B, embedding_size]`.
        """
        vectors = {word: self._words.vector(word) for word in {word for words in batch for word in words}}
        result = np.zeros((len(batch), self.embedding_size), dtype=np.float32)
        for row, words in enumerate(batch):
            known = [vector for word in words if (vector := vectors[word]) is not None]
            if known:
                result[row] = self._aggregate(np.stack(known))
        return torch.from_numpy(result).to(self._place)

    def fingerprint(self) -> str:
        """Digests the files of the vectors and the settings; of a subclass its code and attributes count too.

        Returns:
            32 hexadecimal digits.

        Raises:
            ValueError: If a mapped file has been changed in place.
        """
        from quaterion_models.fingerprint import digest_beyond

        beyond = digest_beyond(self, FasttextEncoder, _OWN)
        settings = (self._aggregations, self._words.lengths, str(self._place.dtype))
        content = (_ALGORITHM, settings, self._words.digests(), beyond)
        return blake2b(content_key(content), digest_size=16, person=b"fasttext").hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes words and vectors as plain arrays, and the settings.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.files import ENCODER_CONFIG, FORMAT_VERSION, write_json
        from quaterion_models.saving.registry import type_name

        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self._words.save(folder)
        settings = {
            "on_disk": self._on_disk,
            "aggregations": self._aggregations,
            "ngram_lengths": list(self._words.lengths),
        }
        content = {"format_version": FORMAT_VERSION, "type": type_name(type(self)), "args": settings}
        write_json(folder / ENCODER_CONFIG, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder again from a folder that `save` wrote; nothing in it is unpickled.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        from quaterion_models.saving.files import ENCODER_CONFIG, ModelFolderError, field

        config = Path(path) / ENCODER_CONFIG
        settings = _settings(Path(path))
        on_disk = field(settings, "on_disk", bool, config)
        aggregations = field(settings, "aggregations", list, config)
        try:
            return cls(path, on_disk, aggregations)
        except ModelFolderError:
            raise
        except (ValueError, TypeError, OSError) as error:
            raise ModelFolderError(f"{config}: the encoder cannot be built: {error}") from error

    def _aggregate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([_AGGREGATIONS[name](vectors, axis=0) for name in self._aggregations])


def _settings(folder: Path) -> dict[str, Any]:
    from quaterion_models.saving.files import ENCODER_CONFIG, check_inside, check_version, field, read_json

    check_inside(folder, folder)
    config = folder / ENCODER_CONFIG
    content = read_json(config)
    check_version(content, config)
    settings: dict[str, Any] = field(content, "args", dict, config)
    return settings


def _open_folder(folder: Path, on_disk: bool) -> WordVectors:
    from quaterion_models.saving.files import ENCODER_CONFIG, field

    lengths = field(_settings(folder), "ngram_lengths", list, folder / ENCODER_CONFIG)
    if len(lengths) != 2 or not all(type(length) is int and 0 <= length < 1000 for length in lengths):
        raise ValueError(f"{folder / ENCODER_CONFIG}: 'ngram_lengths' must be two small numbers, got {lengths!r:.80}")
    return WordVectors.open(folder, (lengths[0], lengths[1]), on_disk=on_disk)
