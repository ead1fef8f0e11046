"""Encoders and a head as one network: from a collated batch to embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from quaterion_models.collate import ModelCollate
from quaterion_models.encoders.encoder import Encoder, check_embeddings
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.heads.switch_head import SwitchHead
from quaterion_models.meta import Meta
from quaterion_models.names import module_name

DEFAULT_ENCODER_KEY = "default"


class EmbeddingNetwork(nn.Module):
    """Encoders, whose vectors are joined, and a head that turns them into embeddings; the base of `SimilarityModel`.

    Args:
        encoders: One encoder (its name is then `"default"`), or names to encoders. Any name works.
        head: The head; None gives a network that can be built and looked at, not used.

    Attributes:
        head: The head.

    Raises:
        TypeError: If an encoder or the head is something else.
        ValueError: If there is no encoder.
    """

    def __init__(self, encoders: Encoder | Mapping[str, Encoder], head: EncoderHead | None) -> None:
        super().__init__()
        named = {DEFAULT_ENCODER_KEY: encoders} if isinstance(encoders, Encoder) else encoders
        if not isinstance(named, Mapping):
            raise TypeError(f"encoders must be an Encoder or a dict of encoders, got {type(encoders).__name__}")
        if not named:
            raise ValueError("encoders must hold at least one encoder, got an empty dict")
        for key, encoder in named.items():
            if not isinstance(encoder, Encoder):
                raise TypeError(f"encoder {key!r} must be an Encoder, got {type(encoder).__name__}")
        if head is not None and not isinstance(head, EncoderHead):
            raise TypeError(f"head must be an EncoderHead or None, got {type(head).__name__}")
        self._keys = list(named)
        # Under names of their own, because a ModuleDict refuses keys like "a.b", "keys" and "".
        self.encoder_modules = nn.ModuleDict({module_name(key): named[key] for key in self._keys})
        self.head = head
        for encoder in self.encoders.values():
            encoder.disable_gradients_if_required()
            encoder.train(encoder.training)  # those not trainable go to eval mode

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by name, in the order in which their vectors are joined."""
        return dict(zip(self._keys, cast(list[Encoder], self.encoder_modules.values()), strict=True))

    @property
    def two_sided(self) -> bool:
        """Whether queries and documents are embedded differently: through heads, or by encoders with prompts."""
        return self._has_heads_for_sides or any(encoder.get_side_fn() is not None for encoder in self.encoders.values())

    @property
    def _has_heads_for_sides(self) -> bool:
        return isinstance(self.head, SwitchHead) and self.head.two_sided

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter or buffer lies; the CPU where it has none."""
        first = next(itertools.chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def output_size(self) -> int:
        """Length of the embeddings."""
        return self.required_head().output_size

    @staticmethod
    def get_encoders_output_size(encoders: Encoder | Mapping[str, Encoder]) -> int:
        """Adds up the embedding sizes of encoders: the input size that a head needs.

        Args:
            encoders: One encoder or a dict of them.

        Returns:
            The sum.
        """
        if isinstance(encoders, Encoder):
            return encoders.embedding_size
        return sum(encoder.embedding_size for encoder in encoders.values())

    def required_head(self) -> EncoderHead:
        """Returns the head.

        Raises:
            ValueError: If the model has none.
        """
        if self.head is None:
            raise ValueError(
                "this model has no head, so it gives no embeddings. Set model.head, for example to EmptyHead"
            )
        return self.head

    def get_collate_fn(self) -> ModelCollate:
        """Returns the picklable function that turns a list of objects into the input of `forward`."""
        encoders = self.encoders
        return ModelCollate(
            {key: encoder.get_collate_fn() for key, encoder in encoders.items()},
            {key: encoder.get_meta_extractor() for key, encoder in encoders.items()},
            {key: prepare for key, encoder in encoders.items() if (prepare := encoder.get_side_fn()) is not None},
            sides_in_meta=self._has_heads_for_sides,
        )

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Computes embeddings of a collated batch.

        Args:
            batch: `{"data": {encoder name: its input}, "meta": one dict a row}`, as the collate function gives it.

        Returns:
            `[B, output_size]`.
        """
        data = batch["data"]
        missing = [key for key in self._keys if key not in data]
        if missing:
            raise ValueError(f"the batch has no data for the encoders {missing}, it has {list(data)}")
        return self.embed({key: self.run_encoder(key, data[key]) for key in self._keys}, batch.get("meta"))

    def run_encoder(self, key: str, inputs: Any) -> Tensor:
        """Computes one encoder's vectors, without gradients where it is frozen, and checks their size.

        Args:
            key: Name of the encoder.
            inputs: What its collate function returned.

        Returns:
            `[B, embedding_size]`.

        Raises:
            ValueError: If the vectors do not have the size that the encoder declares.
        """
        encoder = self.encoders[key]
        if encoder.trainable:
            vectors = encoder(inputs)
        else:
            with torch.no_grad():
                vectors = encoder(inputs)
        return check_embeddings(vectors, f"encoder {key!r} ({type(encoder).__name__})", encoder.embedding_size)

    def embed(self, vectors: Mapping[str, Tensor], meta: Sequence[dict[str, Any]] | Meta | None = None) -> Tensor:
        """Joins the encoders' vectors in their order and applies the head.

        Args:
            vectors: Encoder name to `[B, embedding_size]`, computed now or taken from a cache.
            meta: One dict a row.

        Returns:
            `[B, output_size]`.

        Raises:
            ValueError: If the numbers of rows or the sizes do not fit.
        """
        head = self.required_head()
        parts = [vectors[key] for key in self._keys]
        rows = {key: len(part) for key, part in zip(self._keys, parts, strict=True)}
        if len(set(rows.values())) != 1:
            raise ValueError(f"the encoders gave different numbers of vectors for one batch: {rows}")
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)  # [B, ΣD]
        self.check_head_input(joined.shape[1])
        output: Tensor = head(joined, meta)
        return output

    def check_sizes(self) -> None:
        """Checks that the head takes what the encoders declare; `fit` calls it when it starts.

        Raises:
            ValueError: If the sizes differ, or the options of a SwitchEncoder do among themselves.
        """
        self.check_head_input(self.get_encoders_output_size(self.encoders))

    def check_head_input(self, size: int) -> None:
        """Checks that the head takes vectors of a size.

        Args:
            size: Sum of the encoders' embedding sizes.

        Raises:
            ValueError: If it does not.
        """
        head = self.required_head()
        expected = getattr(head, "input_embedding_size", None)  # a SequentialHead may not know
        if expected is not None and expected != size:
            sizes = {key: encoder.embedding_size for key, encoder in self.encoders.items()}
            raise ValueError(
                f"the head takes vectors of size {expected}, but the encoders give {size} in all: {sizes}. "
                "Build the head with that input_embedding_size"
            )
