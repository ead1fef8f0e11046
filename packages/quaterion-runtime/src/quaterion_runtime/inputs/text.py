"""Text as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import RuntimeFolderError, TextInput, read_file
from quaterion_runtime.inputs.prepare import InputPreparer, Prepared

LARGEST_TOKENIZER = 2**28
"""Bytes; vocabularies of a quarter of a million tokens take 2**24."""


class TextPreparer(InputPreparer):
    """Tokenises texts.

    Args:
        described: The input, as the folder describes it.

    Raises:
        RuntimeFolderError: If the tokenizer's file is damaged.
    """

    def __init__(self, described: TextInput) -> None:
        from tokenizers import Tokenizer

        self._described = described
        file = described.tokenizer
        content = read_file(file, most=LARGEST_TOKENIZER, what="tokenizer")
        try:
            self._tokenizer = Tokenizer.from_buffer(content)
            self._tokenizer.enable_truncation(described.max_length)
            self._tokenizer.no_padding()
            self._tokenizer.encode_batch_fast(["", "a text"])  # a part that is missing comes up only here
        except BaseException as error:
            if _is_interrupt(error):
                raise
            raise RuntimeFolderError(f"{file} is damaged: {error!s:.200}. Export the model again") from error

    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> Prepared:
        """Tokenises texts; arguments as for the base."""
        for text, position in zip(objects, positions, strict=True):
            if not isinstance(text, str):
                raise TypeError(f"the model takes text, got {type(text).__name__} at position {position}. Pass strings")
        prompt = self._described.prompts[side]
        texts = [prompt + text for text in objects] if prompt else list(objects)
        try:
            tokens = self._tokenizer.encode_batch_fast(texts)
        except TypeError:
            _check_characters(texts, positions)
            raise
        return _Tokens(self._described, tokens)


def _is_interrupt(error: BaseException) -> bool:
    # A panic in Rust comes as an exception that is no Exception.
    return not isinstance(error, Exception) and type(error).__name__ != "PanicException"


def _check_characters(texts: Sequence[str], positions: Sequence[int]) -> None:
    for text, position in zip(texts, positions, strict=True):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the text at position {position} has half of a surrogate pair, {text[error.start]!r}, which is no "
                'character. Read it with errors="replace"'
            ) from None


class _Tokens(Prepared):
    """Tokens of texts of different lengths."""

    def __init__(self, described: TextInput, tokens: Sequence[Any]) -> None:
        self._described = described
        empty = [] if described.empty_id is None else [described.empty_id]
        self._ids = [one.ids or empty for one in tokens]
        typed = "token_type_ids" in described.tensors
        self._types = [one.type_ids or [0] * len(empty) for one in tokens] if typed else None

    def lengths(self) -> NDArray[np.int64]:
        return np.fromiter(map(len, self._ids), dtype=np.int64, count=len(self._ids))

    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        described, names = self._described, self._described.tensors
        ids = [self._ids[row] for row in rows]
        lengths = np.array([[len(one)] for one in ids])
        places = np.arange(max(1, lengths.max()))
        real = places >= places.size - lengths if described.pad_left else places < lengths  # [B, T]
        arrays = {names["input_ids"]: _padded(ids, real, described.pad_id)}
        if "attention_mask" in names:
            arrays[names["attention_mask"]] = real.astype(np.int64)
        if self._types is not None:
            types = [self._types[row] for row in rows]
            arrays[names["token_type_ids"]] = _padded(types, real, described.pad_type_id)
        return arrays


def _padded(lists: Sequence[Sequence[int]], real: NDArray[np.bool_], fill: int) -> NDArray[np.int64]:
    padded = np.full(real.shape, fill, dtype=np.int64)
    padded[real] = np.concatenate([np.asarray(one, dtype=np.int64) for one in lists])  # row by row, as `real` is read
    return padded
