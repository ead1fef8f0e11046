"""Vectors of words, and of words that were never seen, from the vectors of their parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_models.encoders.array_files import OpenedFiles, mapped_array

_WORDS = "words.npy"
_VECTORS = "vectors.npy"
_NGRAMS = "ngrams.npy"
_END_OF_SENTENCE = "</s>"


class WordVectors:
    """Word vectors as fastText computes them: the mean of a word's own vector and those of its character n-grams.

    Bojanowski et al. 2017, `Enriching Word Vectors with Subword Information <https://arxiv.org/abs/1607.04606>`_.

    Args:
        words: V words.
        vectors: `[V, D]`, the words' own vectors.
        ngrams: `[buckets, D]`, the vectors that n-grams are hashed to; no rows where there are none.
        lengths: Fewest and most characters of an n-gram.
        files: The files that all this was read from.
        reopen: Where the vectors are mapped from the files: does so again, in another process.

    Raises:
        ValueError: If sizes do not fit.
    """

    def __init__(
        self,
        words: Sequence[str],
        vectors: NDArray[np.float32],
        ngrams: NDArray[np.float32],
        lengths: tuple[int, int],
        files: Sequence[Path],
        *,
        reopen: Callable[[], WordVectors] | None = None,
    ) -> None:
        shapes = [list(array.shape) for array in (vectors, ngrams)]
        if vectors.ndim != 2 or ngrams.ndim != 2 or vectors.shape[1] != ngrams.shape[1] or len(words) != len(vectors):
            raise ValueError(f"{files[0]} has {len(words)} words and vectors of the shapes {shapes}, which do not fit")
        if vectors.dtype.kind != "f" or ngrams.dtype.kind != "f" or not vectors.shape[1]:
            raise ValueError(f"{files[0]} has vectors of {vectors.dtype} and the shapes {shapes}, expected numbers")
        self._words = words
        self._rows = {word: row for row, word in enumerate(words)}
        self._vectors = vectors
        self._ngrams = ngrams
        self.lengths = lengths
        self._files = OpenedFiles(files, mapped=reopen is not None)
        self._reopen = reopen

    @classmethod
    def open(cls, folder: Path, lengths: tuple[int, int], *, on_disk: bool) -> WordVectors:
        """Reads what `save` wrote.

        Args:
            folder: The folder.
            lengths: Fewest and most characters of an n-gram.
            on_disk: Whether to map the vectors into memory instead of reading them.

        Returns:
            The vectors.

        Raises:
            ValueError: If a file is damaged or they do not fit each other.
            OSError: If a file is missing.
        """
        files = [folder / name for name in (_WORDS, _VECTORS, _NGRAMS)]
        packed, vectors, ngrams = map(mapped_array, files)
        if packed.dtype != np.uint8 or packed.ndim != 1:
            raise ValueError(f"{files[0]} must hold bytes, it holds {packed.dtype} {list(packed.shape)}")
        words = packed.tobytes().decode("utf-8").split("\0") if packed.size or len(vectors) else []
        if not on_disk:
            vectors, ngrams = np.array(vectors), np.array(ngrams)
        reopen = partial(cls.open, folder, lengths, on_disk=True) if on_disk else None
        return cls(words, vectors, ngrams, lengths, files, reopen=reopen)

    def save(self, folder: Path) -> None:
        """Writes words and vectors as plain arrays.

        Args:
            folder: The folder.

        Raises:
            ValueError: If a mapped file has been changed in place, or a word holds a zero character.
        """
        self._files.unchanged()
        if any("\0" in word for word in self._words):
            raise ValueError("a word holds a zero character, which a folder cannot keep. Take it out of the vocabulary")
        np.save(folder / _WORDS, self._packed(), allow_pickle=False)
        np.save(folder / _VECTORS, self._vectors, allow_pickle=False)
        np.save(folder / _NGRAMS, self._ngrams, allow_pickle=False)

    def digests(self) -> list[str]:
        """Digests what the vectors were read from, or themselves where that is no longer there.

        Raises:
            ValueError: If a file that vectors are mapped from has been changed in place.
        """
        return self._files.digests([self._packed(), self._vectors, self._ngrams])

    @property
    def size(self) -> int:
        """Length of the vectors."""
        return int(self._vectors.shape[1])

    def vector(self, word: str) -> NDArray[Any] | None:
        """Computes the vector of a word.

        Args:
            word: Any text.

        Returns:
            `[D]` float32; None for a word that is not known and has no n-grams.
        """
        row = self._rows.get(word)
        # The mark of a sentence's end is no word that has parts.
        parts = [] if row is not None and word == _END_OF_SENTENCE else list(self._buckets(word))
        if row is None and not parts:
            return None
        found = self._ngrams[parts]
        if row is not None:
            found = np.concatenate([self._vectors[row : row + 1], found])
        mean: NDArray[Any] = found.mean(axis=0, dtype=np.float32)
        return mean

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Mapped vectors would be copied as a whole.
        return super().__reduce__() if self._reopen is None else (_reopened, (self._reopen, self._files))

    def _packed(self) -> NDArray[np.uint8]:
        return np.frombuffer("\0".join(self._words).encode("utf-8", "backslashreplace"), dtype=np.uint8)

    def _buckets(self, word: str) -> Iterator[int]:
        """The rows of a word's n-grams: hashed as fastText does, by FNV-1a over signed bytes."""
        buckets, (fewest, most) = len(self._ngrams), self.lengths
        if not buckets:
            return
        characters = [character.encode("utf-8", "backslashreplace") for character in f"<{word}>"]
        for start in range(len(characters)):
            state = 2166136261
            for end in range(start, min(start + most, len(characters))):
                for byte in characters[end]:
                    state = ((state ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) & 0xFFFFFFFF
                alone = end == start and end in {0, len(characters) - 1}  # the mark of a word's begin or end
                if end - start + 1 >= fewest and not alone:
                    yield state % buckets


def _reopened(reopen: Callable[[], WordVectors], files: OpenedFiles) -> WordVectors:
    files.check_same()
    return reopen()
