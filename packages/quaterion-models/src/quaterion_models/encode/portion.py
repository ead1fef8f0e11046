"""Encoding a portion of a corpus: batches of like length, vectors in the order of the objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from quaterion_models.batch_to import to_device
from quaterion_models.encode.eval_mode import eval_mode
from quaterion_models.encode.lengths import total_lengths
from quaterion_models.encode.readable import OnError, Skipped, read_rows
from quaterion_models.heads.encoder_head import positive_size

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel


class Portion(NamedTuple):
    """Some objects of a corpus.

    Attributes:
        positions: Where they stand in it.
        objects: The objects.
    """

    positions: Sequence[int]
    objects: Sequence[Any]


class EncodedPortion(NamedTuple):
    """The vectors of a portion.

    Attributes:
        vectors: `[n, D]` on the CPU.
        positions: Where the n objects stand in the corpus.
        skipped: Those left out.
    """

    vectors: Tensor
    positions: list[int]
    skipped: list[Skipped]


@dataclass(frozen=True)
class EncodeOptions:
    """How objects are encoded.

    Args:
        batch_size: Objects in a batch.
        side: `"query"`, `"document"`, or None for a model without sides.
        normalize: Whether to scale each vector to length 1.
        on_error: What to do with an object that cannot be read.

    Raises:
        ValueError: If the batch size is no positive integer, or `on_error` neither of its values.
    """

    batch_size: int
    side: str | None = None
    normalize: bool = False
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        positive_size(self.batch_size, "batch_size")
        if self.on_error not in get_args(OnError):
            raise ValueError(f'on_error must be "raise" or "skip", got {self.on_error!r}')


class PortionEncoder:
    """Encodes portions with a model, in eval mode and without gradients.

    Args:
        model: The model; its training mode is restored after each portion.
        options: How to encode.

    Raises:
        ValueError: If the model has no head.
    """

    def __init__(self, model: SimilarityModel, options: EncodeOptions) -> None:
        self._model, self._options = model, options
        self._size = model.required_head().output_size
        self._collate = model.get_collate_fn()

    # no_grad rather than inference_mode: what a module makes at its first forward (lazily loaded weights, a table of
    # positions) would else be unfit for training ever after.
    @torch.no_grad()
    def encode(self, portion: Portion, on_progress: Callable[[int], None] = lambda _: None) -> EncodedPortion:
        """Encodes a portion, the longest objects first.

        Args:
            portion: Its objects.
            on_progress: Called with the number of objects that are done, after each batch.

        Returns:
            Their vectors, in the order of the objects.

        Raises:
            ValueError: If the model gives another number of vectors than there are objects, or sizes do not fit.
        """
        batches: list[Tensor] = []
        encoded: list[int] = []
        skipped: list[Skipped] = []
        with eval_mode(self._model):
            order = self._longest_first(portion, skipped)
            on_progress(len(skipped))
            for start in range(0, len(order), self._options.batch_size):
                rows = order[start : start + self._options.batch_size]
                batch, kept = self._read(self._collated, portion, rows, skipped)
                if batch is not None:
                    batches.append(self._forward(batch, len(kept)))
                    encoded += kept
                on_progress(len(rows))
        if not encoded:
            return EncodedPortion(torch.zeros(0, self._size), [], sorted(skipped))
        # One copy from a GPU for the whole portion: a copy for each batch would wait for the batch each time.
        places = torch.argsort(torch.tensor(encoded))
        vectors = torch.cat(batches).cpu().index_select(0, places)
        return EncodedPortion(vectors, [portion.positions[row] for row in sorted(encoded)], sorted(skipped))

    def _longest_first(self, portion: Portion, skipped: list[Skipped]) -> list[int]:
        rows = list(range(len(portion.objects)))
        if len(rows) <= self._options.batch_size:
            return rows
        lengths, rows = self._read(self._lengths, portion, rows, skipped)
        return [rows[i] for i in sorted(range(len(rows)), key=lengths.__getitem__, reverse=True)] if rows else []

    def _read(
        self, read: Callable[[list[Any]], Any], portion: Portion, rows: list[int], skipped: list[Skipped]
    ) -> tuple[Any, list[int]]:
        objects, positions = portion.objects, portion.positions
        result, kept, left_out = read_rows(
            lambda some: read([objects[row] for row in some]),
            rows,
            objects=objects,
            positions=positions,
            on_error=self._options.on_error,
        )
        skipped += left_out
        return result, kept

    def _collated(self, objects: list[Any]) -> dict[str, Any]:
        return self._collate(objects, self._sides(len(objects)))

    def _lengths(self, objects: list[Any]) -> list[int]:
        return total_lengths(self._model, objects, self._sides(len(objects)), exact=True)

    def _sides(self, count: int) -> list[str] | None:
        return None if self._options.side is None else [self._options.side] * count

    def _forward(self, batch: dict[str, Any], count: int) -> Tensor:
        vectors: Tensor = self._model({"data": to_device(batch["data"], self._model.device), "meta": batch["meta"]})
        if len(vectors) != count:
            raise ValueError(f"the model gave {len(vectors)} vectors for {count} objects, expected one each")
        return F.normalize(vectors, dim=1) if self._options.normalize else vectors
