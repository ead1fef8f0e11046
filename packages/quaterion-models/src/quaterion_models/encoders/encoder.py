"""The base of all encoders: what turns objects into vectors."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from quaterion_models.content_key import content_key
from quaterion_models.saving.arguments import record_arguments
from quaterion_models.types import CollateFnType, MetaExtractorFnType, SideFnType

if TYPE_CHECKING:
    from quaterion_models.encoders.partly_trained import Trunk


class Encoder(nn.Module, ABC):
    """Turns a batch of objects into one vector each.

    A subclass gives `trainable`, `embedding_size` and `forward`, and where its input is not what
    torch's default collate function handles, `get_collate_fn`. Everything else has a default.

    An encoder that is not trainable stays in eval mode and its parameters get no gradients, whatever
    `model.train()` says. The arguments of the constructor are recorded, so that `save` and `load` work
    where they are plain values.

    Example:
        >>> class Lengths(Encoder):
        ...     trainable = False
        ...     embedding_size = 1
        ...     def get_collate_fn(self):
        ...         return lambda texts: torch.tensor([[float(len(text))] for text in texts])
        ...     def forward(self, batch):
        ...         return batch
        >>> encoder = Lengths()
        >>> encoder(encoder.get_collate_fn()(["one", "three"]))
        tensor([[3.],
                [5.]])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Records the arguments of the constructor."""
        instance = super().__new__(cls)
        record_arguments(instance, args, kwargs)
        return instance

    @property
    @abstractmethod
    def trainable(self) -> bool:
        """Whether training changes this encoder; the output of one that is frozen can be cached."""

    @property
    @abstractmethod
    def embedding_size(self) -> int:
        """Length of the vectors that `forward` returns."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """Computes embeddings.

        Args:
            batch: What the function of `get_collate_fn` returned for B objects.

        Returns:
            Embeddings `[B, embedding_size]`.
        """

    def get_collate_fn(self) -> CollateFnType:
        """Returns the function that turns a list of objects into the input of `forward`.

        It runs in the workers of a DataLoader, so it should be picklable and hold no model. The default is torch's
        `default_collate`.
        """
        from torch.utils.data import default_collate

        return default_collate

    @classmethod
    def extract_meta(cls, batch: list[Any]) -> list[dict[str, Any]]:
        """Extracts side information for heads that use it; by default an empty dict for each object.

        Args:
            batch: Objects.

        Returns:
            One dict for each object.
        """
        return [{} for _ in batch]

    def get_meta_extractor(self) -> MetaExtractorFnType:
        """Returns the function that extracts side information from a list of objects."""
        return self.extract_meta

    def get_side_fn(self) -> SideFnType | None:
        """Returns the function that prepares an object for the side it stands on, queries or documents.

        A model whose encoder has one is two-sided. The function is called as `prepare(obj, "query")` or
        `prepare(obj, "document")`, once, before the collate function, `cache_key` and `length` see the
        object: a text encoder puts its prompt in front. It must not change the object, and be picklable.

        Returns:
            The function; None, the default, where both sides are encoded alike.
        """
        return None

    def get_trunk(self) -> Trunk | None:
        """Returns the frozen lower part of an encoder of which only the upper part is trained.

        Its output can be cached, and `forward` then takes `TokenStates` in the place of a collated batch.

        Returns:
            The trunk; None, the default, where all or nothing is trained.
        """
        return None

    def cache_key(self, obj: Any) -> bytes:
        """Computes the key under which the cache keeps an object's vector.

        Override it where the default cannot know the content: an encoder that opens files keys on the files' bytes.

        Args:
            obj: An object.

        Returns:
            16 bytes; by default `quaterion_models.content_key.content_key`.
        """
        return content_key(obj)

    def length(self, obj: Any) -> int:
        """Estimates the cost of encoding an object, so that batches hold objects of like length.

        Args:
            obj: An object.

        Returns:
            By default the number of characters or bytes, and 0 for other objects.
        """
        return len(obj) if isinstance(obj, (str, bytes)) else 0

    def lengths(self, objects: Sequence[Any]) -> list[int]:
        """Tells the cost of encoding each of many objects, more closely than `length` where that is worth it.

        `SimilarityModel.encode` fills its batches by it. Override it where looking at many objects at once tells more
        than looking at one: text encoders count tokens.

        Args:
            objects: n objects.

        Returns:
            n numbers; by default what `length` says of each object.
        """
        return [self.length(obj) for obj in objects]

    def fingerprint(self) -> str:
        """Computes a digest of everything that the vectors depend on.

        Covers the source of the class and its bases, attributes, state (non-persistent buffers too), submodules and
        the collate function. Two encoders with the same fingerprint give the same vectors, in any process. Override it
        to give a version of your own (a commit hash, a file's checksum).

        Returns:
            Hexadecimal digits.

        Raises:
            TypeError: If something cannot be hashed; the message names it.
        """
        from quaterion_models.fingerprint import fingerprint

        return fingerprint(self)

    def disable_gradients_if_required(self) -> None:
        """Freezes the parameters of an encoder that is not trainable."""
        if not self.trainable:
            for parameter in self.parameters():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, except for an encoder that is not trainable, which stays in eval mode.

        Args:
            mode: Whether to train.

        Returns:
            The encoder.
        """
        return super().train(mode and self.trainable)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state (safetensors) and the recorded constructor arguments (JSON) into a folder.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.encoder_folder import save_encoder

        save_encoder(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder again from a folder that `save` wrote.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged, or a constructor argument could not be recorded.
        """
        from quaterion_models.saving.encoder_folder import load_encoder

        return load_encoder(cls, Path(path))


def check_embeddings(embeddings: Any, name: str, declared: int) -> Tensor:
    """Checks that an encoder returned vectors of the size it declares.

    Args:
        embeddings: What `forward` returned.
        name: What to call the encoder in a message.
        declared: Its `embedding_size`.

    Returns:
        The embeddings.

    Raises:
        TypeError: If it is not a tensor.
        ValueError: If it is not `[B, declared]`.
    """
    if not isinstance(embeddings, torch.Tensor):
        raise TypeError(
            f"{name} returned {type(embeddings).__name__}, expected a tensor [batch, {declared}]. "
            "Return a tensor from forward"
        )
    if embeddings.dim() != 2 or embeddings.shape[1] != declared:
        raise ValueError(
            f"{name} returned a tensor {list(embeddings.shape)}, expected [batch, {declared}] because its "
            f"embedding_size is {declared}. Correct embedding_size or what forward returns"
        )
    return embeddings
