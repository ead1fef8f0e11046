"""The base of the encoders that are a pre-trained model: a folder of files, frozen or trained."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.frozen_model import FrozenModel
from quaterion_models.encoders.lora import add_frozen, keep_statistics, lora_settings, remove_adapters, without_frozen
from quaterion_models.encoders.partly_trained import PartlyTrained, Trunk
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_files import (
    ModelSource,
    check_declared_sizes,
    check_self_contained,
    files_in,
    find_model_folder,
)
from quaterion_models.encoders.pretrained_fingerprint import PretrainedTrunk, pretrained_fingerprint
from quaterion_models.encoders.token_states import TokenStates
from quaterion_models.encoders.trained_part import check_trained_part, trained_model
from quaterion_models.encoders.watched_files import WatchedFiles

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

Precision = Literal["float16", "bfloat16", "float32"]
_PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


class PretrainedEncoder(Encoder):
    """An encoder whose weights, configuration and preprocessing are the files of one folder.

    The weights of a frozen encoder are loaded at the first forward: with all vectors in a cache they are never read,
    and `embedding_size`, `fingerprint` and `cache_key` need only the files. They are no parameters of the module and in
    none of its copies, so that checkpoints and worker processes get only what is trained. A trainable model is the
    submodule `model`; with `lora` only small adapters beside its linear layers are trained. Then
    `state_dict`, and with it a checkpoint, leaves the frozen weights out: they are those of `folder`, which
    the encoder is built from before a checkpoint is loaded.

    A subclass gives `source`, `SETTINGS`, `load_model`, `embed`, `read_size`,
    `write_model` and `get_collate_fn`; where its files do not all lie in the folder itself, `model_files`.
    Its constructor takes the folder first and every setting by name, and passes them on.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub.
        trainable: Whether training changes the model.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
            The vectors come out in the precision of the module either way.
        normalize: Whether to scale the vectors to length 1.
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True, a dict of arguments of `peft.LoraConfig`, or one.
        gradient_checkpointing: Whether a trainable model keeps only what goes into its layers and computes them again
            in the backward pass: less memory, more time, the same gradients.
        **settings: A value for each of `SETTINGS`.

    Attributes:
        folder: The model's folder.
        settings: The settings by name.
        model: The model where it is trainable.
        gradient_checkpointing: Whether layers are computed again in the backward pass.

    Raises:
        ValueError: If there is no such model, its files are damaged, or it would run code of its own; if `lora` or
            `gradient_checkpointing` does not fit it.
        ImportError: If the extra is not installed.
    """

    source: ClassVar[ModelSource]
    """Where such models come from."""
    SETTINGS: ClassVar[Mapping[str, type | tuple[type, ...]]] = {}
    """Names of the settings, and the types that their values have in JSON: what is saved, loaded and fingerprinted."""
    DISTRIBUTIONS: ClassVar[tuple[str, ...]] = ("transformers",)
    """Libraries whose major version the vectors depend on."""
    ALGORITHM: ClassVar[str] = "1"
    """To be raised when the class computes other vectors from the same files and settings."""

    _device: Tensor

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        dtype: Precision | None = None,
        normalize: bool = False,
        revision: str | None = None,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        if settings.keys() != self.SETTINGS.keys():
            raise TypeError(f"{type(self).__name__} declares SETTINGS {list(self.SETTINGS)}, it got {list(settings)}")
        if dtype is not None and dtype not in _PRECISIONS:
            raise ValueError(f"dtype must be None or one of {list(_PRECISIONS)}, got {dtype!r}")
        layers = settings.get("trainable_layers")
        self._trainable, layers = check_trained_part(trainable, layers, lora, gradient_checkpointing)
        if "trainable_layers" in settings:
            settings["trainable_layers"] = layers
        self.gradient_checkpointing = gradient_checkpointing
        self.settings: dict[str, Any] = {"dtype": dtype, "normalize": normalize, **settings}
        if lora is not None:  # absent otherwise: a setting counts for the fingerprint
            self.settings["lora"] = lora_settings(lora)
        self.folder = find_model_folder(os.fspath(name_or_folder), revision, self.source)
        self.check_folder(self.folder)
        # Goes where the module goes, and so tells weights that are loaded later where to go.
        self.register_buffer("_device", torch.zeros(0), persistent=False)
        self._frozen = FrozenModel()
        self._size: int | None = None
        # Kept, so that what it loads is loaded once, and not for each call of `encode`.
        self.collate_fn: PretrainedCollate | None = None
        self._files = WatchedFiles(self.folder, self.model_files)
        self._partly: PartlyTrained | None = None  # what is trained of it is the submodule `model`
        if self._trainable:
            model = self._read(self._weights_dtype())
            self.freeze_unused(model)
            self.model, self._partly = trained_model(model, self.embed, self.settings, gradient_checkpointing)

    # ---- what a subclass gives

    @abstractmethod
    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model of `folder`, on the CPU, in eval mode, without network and without code of its own.

        Args:
            dtype: Precision of the weights.

        Returns:
            The model.

        Raises:
            ValueError: If the files are damaged or would run code.
            ImportError: If the extra is not installed.
        """

    @abstractmethod
    def embed(self, model: Any, batch: Any) -> Tensor:
        """Computes vectors, before they are brought to the module's precision and normalised.

        Args:
            model: What `load_model` returned, where the batch is.
            batch: What the collate function returned for B objects.

        Returns:
            `[B, embedding_size]`.
        """

    @abstractmethod
    def read_size(self) -> int:
        """Tells the length of the vectors, from the configuration where that tells it."""

    @abstractmethod
    def write_model(self, model: Any, folder: Path) -> None:
        """Writes a model as it is now into an empty folder: as safetensors, with all that loading it needs.

        Args:
            model: What `load_model` returned, trained since.
            folder: Where to.
        """

    def freeze_unused(self, model: Any) -> None:
        """Freezes the parameters that no vector depends on; by default there are none.

        They would get no gradient, which training on several devices takes for a mistake.

        Args:
            model: What `load_model` returned.
        """

    @classmethod
    def model_files(cls, folder: Path) -> list[Path]:
        """Lists the files that the vectors depend on; by default those of the folder itself.

        Args:
            folder: A model's folder.

        Returns:
            Files, sorted.
        """
        return files_in([folder])

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Checks that a folder holds a model of this kind; a subclass extends it.

        Args:
            folder: A model's folder.

        Raises:
            ValueError: If it does not, or if it would run code of its own or read other folders.
        """
        check_self_contained(folder)
        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} has no config.json: it is not {cls.source.kind}")

    @classmethod
    def check_sizes(cls, folder: Path) -> None:
        """Checks that the configuration of a saved model declares no more than its weights hold.

        Args:
            folder: A model's folder.

        Raises:
            ValueError: If it does.
        """
        check_declared_sizes(folder)

    # ---- what follows from that

    @property
    def trainable(self) -> bool:
        """Whether training changes the model."""
        return self._trainable

    @property
    def module_dtype(self) -> torch.dtype:
        """Precision that the module was cast to, which is that of its vectors: float32 unless it was."""
        return self._device.dtype

    @property
    def divided_model(self) -> nn.Module | None:
        """The whole model where only its top layers are trained; None where there are no two parts."""
        return None if self._partly is None else self._partly.model

    @property
    def embedding_size(self) -> int:
        """Length of the vectors."""
        if self._size is None:
            self._size = self.read_size()
        return self._size

    def forward(self, batch: Any) -> Tensor:
        """Computes embeddings.

        Args:
            batch: What the collate function returned for B objects, on this module's device; or `TokenStates` of its
                trunk.

        Returns:
            `[B, embedding_size]`.
        """
        if isinstance(batch, TokenStates) and self._partly is not None:
            model, batch = self._partly.enter(batch)
        else:
            model = self.loaded()
        vectors = self.embed(model, batch).to(self._device.dtype)
        return F.normalize(vectors, dim=1) if self.settings["normalize"] else vectors

    def loaded(self) -> Any:
        """Returns the model, loaded if it was not, on the module's device.

        Raises:
            ValueError: If the files have changed since the fingerprint was taken, or cannot be loaded.
        """
        if self._partly is not None:
            return self._partly.placed()
        if self._trainable:
            return self.model
        return self._frozen.placed(self._device.device, self._weights_dtype(), self._read)

    @property
    def has_adapters(self) -> bool:
        """Whether adapters are trained in the place of the weights."""
        return "lora" in self.settings

    def train(self, mode: bool = True) -> Self:
        """Sets training mode; what is frozen below adapters or trained layers stays as it is.

        Args:
            mode: Whether to train.

        Returns:
            The encoder.
        """
        super().train(mode)
        if self.has_adapters:
            keep_statistics(self.model)
        return self

    def merge_adapters(self) -> None:
        """Adds what adapters have learned to the weights and removes them; then the weights are trainable.

        The vectors stay the same. Without adapters nothing changes.
        """
        if self.has_adapters:
            remove_adapters(self.model, merge=True)
            self.model.requires_grad_()
            self.freeze_unused(self.model)
            self.settings = {name: value for name, value in self.settings.items() if name != "lora"}

    def frozen_copy(self, folder: str | os.PathLike[str]) -> Self:
        """Writes a trained encoder as it is now and opens it as a frozen one, whose vectors can be cached.

        Adapters are merged into the weights of the copy; this encoder is not changed.

        Args:
            folder: Where to; made where it does not exist, and kept as long as the copy is used.

        Returns:
            The frozen encoder, which gives the same vectors.
        """
        from quaterion_models.saving.pretrained_folder import frozen_copy

        return frozen_copy(self, Path(folder))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the state as any module does; with adapters without the frozen weights, which the folder holds.

        Args:
            *args: As of `torch.nn.Module`.
            **kwargs: As of `torch.nn.Module`.

        Returns:
            Tensors by name.
        """
        state = super().state_dict(*args, **kwargs)
        return without_frozen(state, self, kwargs.get("prefix", "")) if self.has_adapters else state

    def fingerprint(self) -> str:
        """Digests the model's files and the settings; the weights of a trainable model are taken as they are now.

        Of a subclass its code counts too, and of any encoder the attributes, submodules, hooks, replaced methods and
        collate function that the ready-made class does not have. Where the files have changed since the weights of a
        frozen model were loaded, the next forward loads them again. Not covered: changes to the model that was loaded.

        Returns:
            32 hexadecimal digits.

        Raises:
            TypeError: If something that a subclass adds cannot be hashed.
        """
        files, loaded = self.digest_files()
        if self._frozen.model is not None and files != loaded:
            self._frozen.forget()
            self._size = None
        return pretrained_fingerprint(self, files, loaded)

    def digest_files(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]] | None]:
        """Digests the model's files, which from now on have to stay as they are.

        Returns:
            Relative path and digest of each one, and of those that the weights were read from; None where they were
            not read.

        Raises:
            ValueError: If the folder is no longer there.
        """
        self.collate_fn = None  # its files may have changed too
        return self._files.digest(), self._files.loaded

    def get_trunk(self) -> Trunk | None:
        """Returns the embeddings and the frozen layers, where `trainable_layers` leaves such; else None."""
        return None if self._partly is None else PretrainedTrunk(self, self._partly)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model's files and the settings into a folder that needs no network to load.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.pretrained_folder import save_pretrained

        save_pretrained(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder from a folder that `save` wrote.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing, damaged, or could run code.
        """
        from quaterion_models.saving.pretrained_folder import load_pretrained

        return load_pretrained(cls, Path(path), build=cls)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if self.has_adapters:  # the frozen weights are there already, so that strict loading misses only adapters
            add_frozen(state_dict, self, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _read(self, dtype: torch.dtype) -> nn.Module:
        return self._files.reading(lambda: self.load_model(dtype))

    def _weights_dtype(self) -> torch.dtype:
        return _PRECISIONS.get(self.settings["dtype"], self.module_dtype)
