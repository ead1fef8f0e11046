"""Readers of word vectors: fastText's own files, word2vec's text and binary ones, and gensim's."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from quaterion_models.encoders.extras.word_vectors import WordVectors
from quaterion_models.extras import require

_FASTTEXT = struct.pack("<i", 793712314)
_GZIP = b"\x1f\x8b"
_PICKLE = b"\x80"
_SUPERVISED = 3
_LONGEST_LINE = 2**20


def read_word_vectors(path: Path, *, on_disk: bool) -> WordVectors:
    """Reads word vectors from a file, whose first bytes tell what it is.

    Args:
        path: fastText's `.bin`, or word2vec's text (`.vec`) or binary format; or what gensim's `save` wrote, which is
            a pickle and may run any code.
        on_disk: Whether to map the vectors into memory instead of reading them.

    Returns:
        The vectors.

    Raises:
        ImportError: If the file is gensim's and gensim is not installed.
        ValueError: If the file is damaged or of another format, or cannot be mapped.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(_FASTTEXT):
        return _read_fasttext(path, on_disk=on_disk)
    if start.startswith(_PICKLE):
        return _read_gensim(path, on_disk=on_disk)
    if start.startswith(_GZIP):
        raise ValueError(f"{path} is compressed. Unpack it first: gunzip {path.name}")
    if start[:1].isdigit():
        if on_disk:
            raise ValueError(
                f"{path} cannot be mapped into memory as it is. Convert it once: FasttextEncoder({path.name!r}, "
                'on_disk=False).save("folder"), then FasttextEncoder("folder", on_disk=True)'
            )
        return _read_word2vec(path)
    raise ValueError(
        f"{path} holds no word vectors that are known here: expected fastText's .bin, word2vec's text or binary "
        "format, or a file that gensim saved"
    )


def _reopening(path: Path, on_disk: bool) -> Callable[[], WordVectors] | None:
    return partial(read_word_vectors, path, on_disk=True) if on_disk else None


def _read_fasttext(path: Path, *, on_disk: bool) -> WordVectors:
    """A `.bin` of fastText: settings, the dictionary, then one matrix of the words' and the n-grams' vectors."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            words, lengths, place, shape = _fasttext_layout(content)
        except (struct.error, ValueError, IndexError) as error:
            raise ValueError(f"{path} is no whole model of fastText: {error}. Download or train it again") from error
    matrix: NDArray[Any] = np.memmap(path, dtype="<f4", mode="r", offset=place, shape=shape)
    if not on_disk:
        matrix = np.array(matrix)
    return WordVectors(
        words, matrix[: len(words)], matrix[len(words) :], lengths, [path], reopen=_reopening(path, on_disk)
    )


def _fasttext_layout(content: mmap.mmap) -> tuple[list[str], tuple[int, int], int, tuple[int, int]]:
    """The words, the lengths of n-grams, and where the matrix lies."""
    _, version, size = struct.unpack_from("<3i", content, 0)
    model, buckets, fewest, most = struct.unpack_from("<4i", content, 36)
    if version == 11 and model == _SUPERVISED:  # as fastText itself reads them
        most = 0
    entries, count, _ = struct.unpack_from("<3i", content, 64)
    (pruned,) = struct.unpack_from("<q", content, 84)
    place = 92
    words = []
    for _ in range(entries):
        end = content.find(b"\0", place)
        if end < 0 or end + 10 > len(content):
            raise ValueError("it ends within the dictionary")
        if content[end + 9] == 0:  # a word, not the label of a classifier
            words.append(content[place:end].decode("utf-8", "backslashreplace"))
        place = end + 10
    if pruned > 0 or content[place]:
        raise ValueError("it is compressed (.ftz), and only full models can be read")
    rows, columns = struct.unpack_from("<2q", content, place + 1)
    place += 17
    if len(words) != count or columns != size or rows not in {count, count + buckets} or min(rows, size) < 1:
        raise ValueError(f"it has {len(words)} words, and a matrix [{rows}, {columns}] that does not fit them")
    if place + rows * columns * 4 > len(content):
        raise ValueError(f"it ends within the matrix [{rows}, {columns}]")
    return words, (max(fewest, 1), most), place, (rows, columns)


def _read_word2vec(path: Path) -> WordVectors:
    """Text (`word 0.1 0.2 ...` in each line) or binary; both begin with a line of two numbers."""
    with path.open("rb") as file:
        head = file.readline(_LONGEST_LINE).split()
        try:
            count, size = (int(number) for number in head)
        except ValueError:
            raise ValueError(f"{path} must begin with the number of words and the size of their vectors") from None
        start = file.tell()
        # A number takes at least two bytes in text, four in binary.
        if min(count, size) < 1 or count * size * 2 > path.stat().st_size - start:
            raise ValueError(f"{path} says that it has {count} vectors of size {size}, for which it is too small")
        binary = not _is_text(file, size)
        file.seek(start)
        vectors = np.empty((count, size), dtype=np.float32)
        words = []
        for row in range(count):
            try:
                words.append(_binary_entry(file, vectors[row]) if binary else _text_entry(file, vectors[row]))
            except ValueError as error:
                raise ValueError(f"{path}: word {row + 1} of {count} is damaged: {error}") from None
    return WordVectors(words, vectors, np.empty((0, size), dtype=np.float32), (1, 0), [path])


def _is_text(file: BinaryIO, size: int) -> bool:
    try:
        _text_entry(file, np.empty(size, dtype=np.float32))
    except ValueError:
        return False
    return True


def _text_entry(file: BinaryIO, vector: NDArray[np.float32]) -> str:
    line = file.readline(_LONGEST_LINE).decode("utf-8", "backslashreplace").rstrip("\r\n ")
    word, *values = line.rsplit(" ", len(vector))
    if len(values) != len(vector):
        raise ValueError(f"expected {len(vector)} numbers, got {len(values)}")
    vector[:] = [float(value) for value in values]
    return word


def _binary_entry(file: BinaryIO, vector: NDArray[np.float32]) -> str:
    word = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(word) > _LONGEST_LINE:
            raise ValueError("its end is missing")
        word += byte
    numbers = file.read(vector.nbytes)
    if len(numbers) != vector.nbytes:
        raise ValueError("its vector is cut off")
    vector[:] = np.frombuffer(numbers, dtype="<f4")
    return word.lstrip(b"\n").decode("utf-8", "backslashreplace")  # some programs write a line end after each vector


def _read_gensim(path: Path, *, on_disk: bool) -> WordVectors:
    """What gensim's `save` wrote: a pickle, with large arrays in files beside it."""
    keyed_vectors = require("gensim.models", extra="fasttext").KeyedVectors
    loaded: Any = keyed_vectors.load(str(path), mmap="r" if on_disk else None)
    found = getattr(loaded, "wv", loaded)  # a whole model has its vectors inside
    files = [path, *sorted(path.parent.glob(f"{path.name}.*.npy"))]
    reopen = _reopening(path, on_disk)
    words, ngrams = list(found.index_to_key), getattr(found, "vectors_ngrams", None)
    if ngrams is None:
        none = np.empty((0, found.vector_size), dtype=np.float32)
        return WordVectors(words, found.vectors, none, (1, 0), files, reopen=reopen)
    return WordVectors(words, found.vectors_vocab, ngrams, (found.min_n, found.max_n), files, reopen=reopen)
