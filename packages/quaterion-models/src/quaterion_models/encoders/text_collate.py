"""The base of the collate functions of text encoders: they count tokens too."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quaterion_models.encoders.pretrained_collate import PretrainedCollate

_BLOCK = 1024  # texts whose tokens are in memory at once


class TextCollate(PretrainedCollate):
    """Turns texts into a pre-trained model's input, and tells how many tokens they have.

    Args:
        folder: The model's folder.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text.
    """

    def __init__(self, folder: Path, *, max_length: int | None = None, prompt: str | None = None) -> None:
        super().__init__(folder, max_length=max_length, prompt=prompt)
        self._counter: TokenCounter | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_counter": None}

    @abstractmethod
    def fast_tokenizer(self) -> Any:
        """Returns the tokenizer of transformers; None where it is not a fast one, or more than it makes the input."""

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Counts the tokens of texts, or their characters where there is no fast tokenizer.

        Args:
            texts: n texts.

        Returns:
            n numbers, without the prompt.
        """
        if self._counter is None:
            tokenizer = self.fast_tokenizer()
            if tokenizer is None:
                return list(map(len, texts))
            self._counter = TokenCounter(tokenizer)
        return self._counter(texts)


class TokenCounter:
    """Counts the tokens of texts, a block at a time.

    It has a copy of the tokenizer, because one that is told to pad, and then not to, must not be used by another thread
    meanwhile.

    Args:
        tokenizer: A tokenizer of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._limit: int = tokenizer.model_max_length
        self._tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()  # a tokenizer's file may have a limit that is not the model's

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Counts tokens, special ones included, no more of a text than the model takes.

        Args:
            texts: n texts.

        Returns:
            n numbers.
        """
        blocks = (texts[start : start + _BLOCK] for start in range(0, len(texts), _BLOCK))
        return [min(len(tokens), self._limit) for block in blocks for tokens in self._encode(block)]

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        encodings: list[Any] = self._tokenizer.encode_batch_fast(list(texts))
        return encodings
