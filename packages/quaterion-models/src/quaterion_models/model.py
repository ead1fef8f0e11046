"""The model that turns objects into embeddings: encoders and a head."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from quaterion_models.class_weights import Classification, ClassWeights
from quaterion_models.collate import ModelCollate
from quaterion_models.encode import as_objects, encode_objects
from quaterion_models.encoders.encoder import Encoder, check_embeddings
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.heads.switch_head import DOCUMENT, QUERY, SwitchHead
from quaterion_models.meta import Meta
from quaterion_models.names import module_name

DEFAULT_ENCODER_KEY = "default"


class SimilarityModel(nn.Module):
    """Encoders, whose vectors are joined, and a head that turns them into embeddings.

    Vectors are joined in the order of the dict of encoders, which is kept when the model is saved. A model has two
    sides, queries and documents, when its head is a `SwitchHead` with exactly the options `"query"` and `"document"`,
    or when an encoder prepares the two differently (:meth:`Encoder.get_side_fn`).

    Args:
        encoders: One encoder (its name is then `"default"`), or names to encoders. Any name works.
        head: The head; None gives a model that can be built and looked at, not used.

    Attributes:
        head: The head.
        labels: Names of the groups the model was trained on, where it knows them: a list or a dict; saved with it.
        class_weights: What a loss with class weights has learned of the groups, for `classify`; saved with it.

    Raises:
        TypeError: If an encoder or the head is something else.
        ValueError: If there is no encoder.

    Example:
        >>> from quaterion_models.heads import GatedHead
        >>> class Lengths(Encoder):
        ...     trainable = False
        ...     embedding_size = 1
        ...     def get_collate_fn(self):
        ...         return lambda texts: torch.tensor([[float(len(text))] for text in texts])
        ...     def forward(self, batch):
        ...         return batch
        >>> model = SimilarityModel(Lengths(), GatedHead(1))
        >>> model.encode(["one", "three"]).round(2)
        array([[2.89],
               [4.82]], dtype=float32)
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
        self.labels: dict[Any, Any] | list[Any] | None = None
        self.class_weights: ClassWeights | None = None
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
        return self._has_heads_for_sides or any(encoder.get_side_fn() for encoder in self.encoders.values())

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
        """Returns the picklable function that turns a list of objects into the input of :meth:`forward`."""
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

    @overload
    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        to_numpy: Literal[True] = True,
        *,
        normalize: bool = False,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any]: ...
    @overload
    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        *,
        to_numpy: Literal[False],
        normalize: bool = False,
        show_progress: bool = False,
    ) -> Tensor: ...
    @overload
    def encode(
        self,
        inputs: Any,
        batch_size: int,
        to_numpy: bool,
        *,
        normalize: bool = False,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor: ...
    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        to_numpy: bool = True,
        *,
        normalize: bool = False,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor:
        """Computes the embeddings of objects; of a two-sided model, of queries.

        Batches hold objects of like length, the longest first; the result is in the order of the objects. The model is
        in eval mode meanwhile, and in its former mode afterwards.

        Args:
            inputs: Many objects: a list, a tuple, the rows of an array or tensor of two or more dimensions, or a
                one-dimensional array of text. Anything else is one object, a one-dimensional array of numbers included.
            batch_size: Objects in a batch.
            to_numpy: Whether to return an array, else a tensor on the CPU. Arrays of bfloat16 do not exist: they become
                float32.
            normalize: Whether to scale every embedding to length 1.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            `[n, output_size]`; one object gives `[1, output_size]`, none `[0, output_size]`.

        Raises:
            ValueError: If the model has no head, or sizes do not fit.
            TypeError: If `inputs` is an iterator or a set.
        """
        side = QUERY if self.two_sided else None
        return self._encode(inputs, batch_size, to_numpy, side, normalize=normalize, show_progress=show_progress)

    def encode_query(self, inputs: Any, batch_size: int = 32, to_numpy: bool = True, **options: bool) -> Any:
        """Computes embeddings of queries; the same as :meth:`encode`.

        Args:
            inputs: As for :meth:`encode`.
            batch_size: As for :meth:`encode`.
            to_numpy: As for :meth:`encode`.
            **options: `normalize` and `show_progress` of :meth:`encode`.

        Returns:
            As :meth:`encode`.
        """
        return self.encode(inputs, batch_size, to_numpy, **options)

    def encode_document(self, inputs: Any, batch_size: int = 32, to_numpy: bool = True, **options: bool) -> Any:
        """Computes embeddings of documents; of a model without sides, the same as :meth:`encode`.

        Args:
            inputs: As for :meth:`encode`.
            batch_size: As for :meth:`encode`.
            to_numpy: As for :meth:`encode`.
            **options: `normalize` and `show_progress` of :meth:`encode`.

        Returns:
            As :meth:`encode`.
        """
        side = DOCUMENT if self.two_sided else None
        return self._encode(inputs, batch_size, to_numpy, side, **options)

    def classify(self, inputs: Any, batch_size: int = 32, *, show_progress: bool = False) -> list[Classification]:
        """Tells the group of objects by the class weights that training left.

        Args:
            inputs: As for :meth:`encode`.
            batch_size: As for :meth:`encode`.
            show_progress: As for :meth:`encode`.

        Returns:
            Label and similarity of the nearest class, for each object.

        Raises:
            ValueError: If the model was trained by a loss without class weights.
        """
        if self.class_weights is None:
            raise ValueError(
                "this model has no class weights to classify with: train it with SoftmaxLoss, ArcFaceLoss, "
                "CosFaceLoss, ProxyAnchorLoss or CenterLoss, or compare embeddings with those of labelled examples"
            )
        embeddings = self.encode(inputs, batch_size, to_numpy=False, show_progress=show_progress)
        return self.class_weights.classify(embeddings.to(self.class_weights.weights))

    def _encode(
        self,
        inputs: Any,
        batch_size: int,
        to_numpy: bool,
        side: str | None,
        *,
        normalize: bool = False,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor:
        embeddings = encode_objects(
            self,
            as_objects(inputs),
            batch_size=batch_size,
            side=side,
            normalize=normalize,
            show_progress=show_progress,
        )
        if not to_numpy:
            return embeddings
        return (embeddings.float() if embeddings.dtype == torch.bfloat16 else embeddings).numpy()

    def save(self, path: str | os.PathLike[str], *, card: str | None = None) -> None:
        """Writes the model into a folder, all of it or nothing: see :func:`quaterion_models.saving.save_model`.

        Args:
            path: The folder; a model that is there is replaced.
            card: Text of the model card (README.md); by default a short one is written.

        Raises:
            ModelFolderError: If the folder holds something else than a model.
        """
        from quaterion_models.saving.model_folder import save_model

        save_model(self, Path(path), card=card)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        classes: Sequence[type[nn.Module]] = (),
        encoders: Mapping[str, Encoder] | None = None,
        head: EncoderHead | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Reads a model from a folder, without importing a module or running code that the folder names.

        Args:
            path: The folder.
            classes: Classes of your own that the folder may name, beside those already imported.
            encoders: Built encoders by name, for those whose constructor arguments could not be saved; their state is
                read from the folder.
            head: A built head, where its constructor arguments could not be saved; its state is read likewise.
            device: Where to put the model.

        Returns:
            The model, in eval mode.

        Raises:
            ModelFolderError: If a file is missing, damaged or hostile, or of a newer format.
        """
        from quaterion_models.saving.model_folder import load_model

        model = load_model(cls, Path(path), classes=classes, encoders=encoders or {}, head=head)
        model.to(device).eval()
        return model


MetricModel = SimilarityModel
