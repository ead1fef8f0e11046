"""The model that turns objects into embeddings: encoders and a head."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from quaterion_models.class_weights import Classification, ClassWeights
from quaterion_models.encode import Device, EncodedChunk, EncodeOptions, OnError, encode, encode_stream
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.heads.encoder_head import EncoderHead
from quaterion_models.heads.switch_head import DOCUMENT, QUERY
from quaterion_models.network import DEFAULT_ENCODER_KEY, EmbeddingNetwork

if TYPE_CHECKING:
    from quaterion_models.predict import Classifier, Matcher
    from quaterion_models.saving.model_card import ModelCard

__all__ = ["DEFAULT_ENCODER_KEY", "MetricModel", "SimilarityModel"]

F = TypeVar("F", bound=Callable[..., Any])


def _signature_of(original: F) -> Callable[[Callable[..., Any]], F]:
    """Gives a method the signature, overloads included, of another."""

    def give(method: Callable[..., Any]) -> F:
        method.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return cast(F, method)

    return give


class SimilarityModel(EmbeddingNetwork):
    """Encoders, whose vectors are joined, and a head that turns them into embeddings.

    Vectors are joined in the order of the dict of encoders, which is kept when the model is saved. A model has two
    sides, queries and documents, when its head is a `SwitchHead` with exactly the options `"query"` and `"document"`,
    or when an encoder prepares the two differently (`Encoder.get_side_fn`).

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
        super().__init__(encoders, head)
        self.labels: dict[Any, Any] | list[Any] | None = None
        self.class_weights: ClassWeights | None = None

    @overload
    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        to_numpy: Literal[True] = True,
        *,
        normalize: bool = False,
        devices: Sequence[Device] | None = None,
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
        devices: Sequence[Device] | None = None,
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
        devices: Sequence[Device] | None = None,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor: ...
    def encode(
        self,
        inputs: Any,
        batch_size: int = 32,
        to_numpy: bool = True,
        *,
        normalize: bool = False,
        devices: Sequence[Device] | None = None,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor:
        """Computes the embeddings of objects; of a two-sided model, of queries.

        Batches hold objects of like length, the longest first; the result is in the order of the objects. The model is
        in eval mode meanwhile, and in its former mode afterwards.

        Args:
            inputs: Many objects: a list, a tuple, the rows of an array or tensor of two or more dimensions, or a
                one-dimensional array of text. Anything else is one object, a one-dimensional array of numbers included.
            batch_size: Objects in a batch.
            to_numpy: Whether to return an array, else a tensor on the CPU. Either has the precision that the model
                computes in, but arrays of bfloat16 do not exist: they become float32.
            normalize: Whether to scale every embedding to length 1.
            devices: A device for each of several processes that share the work, such as `["cuda:0", "cuda:1"]`. They
                are started for this call; a program that uses them keeps what it does under
                `if __name__ == "__main__":`. None to encode in this process, where the model is.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            `[n, output_size]`; one object gives `[1, output_size]`, none `[0, output_size]`.

        Raises:
            ValueError: If the model has no head, or sizes do not fit.
            TypeError: If `inputs` is an iterator or a set: `encode_stream` takes those.
            Exception: What an encoder raises for an object that it cannot read; a note tells the object's position.
        """
        return self._encode(
            QUERY, inputs, batch_size, to_numpy, normalize=normalize, devices=devices, show_progress=show_progress
        )

    @_signature_of(encode)
    def encode_query(self, *args: Any, **options: Any) -> Any:
        """Computes embeddings of queries; the same as `encode`."""
        return self._encode(QUERY, *args, **options)

    @_signature_of(encode)
    def encode_document(self, *args: Any, **options: Any) -> Any:
        """Computes embeddings of documents, with the arguments of `encode`; the same without two sides."""
        return self._encode(DOCUMENT, *args, **options)

    def encode_stream(
        self,
        objects: Iterable[Any],
        *,
        batch_size: int = 32,
        chunk_size: int = 4096,
        side: Literal["query", "document"] | None = None,
        normalize: bool = False,
        on_error: OnError = "raise",
        devices: Sequence[Device] | None = None,
        show_progress: bool = False,
    ) -> Iterator[EncodedChunk]:
        """Computes the embeddings of a corpus that need not fit the memory, chunk by chunk, in order.

        Objects are read when their chunk is due. Batches hold objects of like length of one chunk. Between two chunks
        the model is in the mode in which it was.

        Args:
            objects: An iterable of objects: a generator, a file, a data set (of torch too), a list.
            batch_size: Objects in a batch.
            chunk_size: Objects in a chunk. One chunk is in memory at a time, with `devices` two for each process.
            side: `"query"` or `"document"`, for a two-sided model; None for queries.
            normalize: Whether to scale every embedding to length 1.
            on_error: `"skip"` leaves out objects that cannot be read (an unreadable image, a record without the field),
                and lists them in their chunk; `"raise"` ends with the error of the first. Errors of the model itself
                are always raised.
            devices: As for `encode`.
            show_progress: Whether to show a progress bar (needs the extra `progress`).

        Returns:
            An iterator of chunks: `vectors` `[n, output_size]`, `positions` int64 `[n]` and `skipped`, pairs of
            position and reason.

        Raises:
            ValueError: If the model has no head, an option is none of its values, or sizes do not fit.
            TypeError: If `objects` is a single object.
            Exception: What an encoder raises for an object that it cannot read; a note tells the object's position.

        Example:
            >>> from quaterion_models.encoders import VectorEncoder
            >>> from quaterion_models.heads import EmptyHead
            >>> model = SimilarityModel(VectorEncoder(2), EmptyHead(2))
            >>> rows = ([1.0, float(number)] if number != 3 else "unreadable" for number in range(5))
            >>> for chunk in model.encode_stream(rows, chunk_size=3, on_error="skip"):
            ...     print(chunk.vectors.shape, chunk.positions, [position for position, reason in chunk.skipped])
            (3, 2) [0 1 2] []
            (1, 2) [4] [3]
        """
        if side not in (None, QUERY, DOCUMENT):
            raise ValueError(f'side must be "{QUERY}", "{DOCUMENT}" or None, got {side!r}')
        options = EncodeOptions(batch_size, self._side(side or QUERY), normalize, on_error)
        return encode_stream(
            self, objects, options, chunk_size=chunk_size, devices=devices, show_progress=show_progress
        )

    def classify(self, inputs: Any, batch_size: int = 32, *, show_progress: bool = False) -> list[Classification]:
        """Tells the group of objects by the class weights that training left.

        Args:
            inputs: As for `encode`.
            batch_size: As for `encode`.
            show_progress: As for `encode`.

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
        side: str,
        inputs: Any,
        batch_size: int = 32,
        to_numpy: bool = True,
        *,
        normalize: bool = False,
        devices: Sequence[Device] | None = None,
        show_progress: bool = False,
    ) -> np.ndarray[Any, Any] | Tensor:
        options = EncodeOptions(batch_size, self._side(side), normalize)
        return encode(self, inputs, options, to_numpy=to_numpy, devices=devices, show_progress=show_progress)

    def _side(self, side: str) -> str | None:
        return side if self.two_sided else None

    def save(self, path: str | os.PathLike[str], *, card: str | ModelCard | None = None) -> None:
        """Writes the model into a folder, all of it or nothing: see `quaterion_models.saving.model_folder.save_model`.

        Args:
            path: The folder; a model that is there is replaced.
            card: Text of the model card (README.md), or what is known of the model beside its parts, from which the
                text is written.

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

    def push_to_hub(
        self,
        repo_id: str,
        *,
        predictors: Sequence[Classifier | Matcher] = (),
        card: str | ModelCard | None = None,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str = "Save the model",
        create_pr: bool = False,
    ) -> str:
        """Saves the model and sends its folder to the Hugging Face hub; needs the extra `hub`.

        Files of an older model there that this one does not have are removed; other files stay. To keep the card of a
        saved folder, pass its text: `model.push_to_hub(name, card=Path("folder/README.md").read_text())`.

        Args:
            repo_id: Name on the hub, such as `"user/model"`; made where it does not exist.
            predictors: Classifier and matcher of this model, which are sent along with it.
            card: As for `save`.
            private: Whether a new repository is private.
            token: Token of the hub; None for the one that is stored on this machine.
            revision: Branch to write to, made where it does not exist; None for the main one.
            commit_message: First line of the commit.
            create_pr: Whether to open a pull request instead of writing to the branch.

        Returns:
            Address of the commit, or of the pull request.

        Raises:
            ValueError: If the hub refuses it or cannot be reached, or a predictor is another model's.
            ImportError: If the extra is not installed.
        """
        from quaterion_models.saving.hub import push_model

        return push_model(
            self,
            repo_id,
            predictors=predictors,
            card=card,
            private=private,
            token=token,
            revision=revision,
            commit_message=commit_message,
            create_pr=create_pr,
        )

    @classmethod
    def from_pretrained(
        cls,
        repo_id_or_folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        classes: Sequence[type[nn.Module]] = (),
        encoders: Mapping[str, Encoder] | None = None,
        head: EncoderHead | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Reads a model from the Hugging Face hub or from a folder, as safely as `load` does.

        Needs the extra `hub`, unless it is a folder.

        Args:
            repo_id_or_folder: A folder on this machine, or a name on the hub, such as `"user/model"`.
            revision: Branch, tag or commit on the hub; a commit always gives the same model.
            token: Token of the hub; None for the one that is stored on this machine.
            cache_dir: Where to keep what is fetched; None for the hub's own cache.
            local_files_only: Whether to take only what has been fetched before.
            classes: As for `load`.
            encoders: As for `load`.
            head: As for `load`.
            device: As for `load`.

        Returns:
            The model, in eval mode.

        Raises:
            ModelFolderError: If a file is missing, damaged or hostile, or of a newer format.
            ValueError: If there is no such folder or model, or the hub cannot be reached.
            ImportError: If the extra is not installed and needed.
        """
        from quaterion_models.saving.hub import pull_model

        folder = pull_model(
            os.fspath(repo_id_or_folder),
            revision=revision,
            token=token,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            local_files_only=local_files_only,
        )
        return cls.load(folder, classes=classes, encoders=encoders, head=head, device=device)


MetricModel = SimilarityModel
