"""The base of the encoders that are a pre-trained model: a folder of files, frozen or trained."""

from __future__ import annotations

import importlib.metadata
import os
from abc import abstractmethod
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.lora import add_adapters, keep_statistics, lora_settings, remove_adapters
from quaterion_models.encoders.model_layers import enable_checkpointing
from quaterion_models.encoders.partly_trained import PartlyTrained, Trunk, check_trainable_layers
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_files import (
    ModelSource,
    check_declared_sizes,
    check_self_contained,
    check_there,
    digests,
    files_in,
    find_model_folder,
    is_weights,
    samples,
)
from quaterion_models.encoders.token_states import RaggedStates, TokenStates

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

Precision = Literal["float16", "bfloat16", "float32"]
_PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_OURS = f"{__name__.partition('.')[0]}."
# What the fingerprint covers in a way of its own, or what does not change the vectors.
_OWN = frozenset(
    {"settings", "folder", "model", "_device", "_trainable", "_frozen", "_placed", "_size", "collate_fn"}
    | {"_found_files", "_loaded_files", "_digested_files", "_partly", "gradient_checkpointing"}
)
_ABOVE_TRUNK = frozenset({"trainable_layers", "normalize", "pooling"})
"""Settings that do not change the states below the trained layers."""


class PretrainedEncoder(Encoder):
    """An encoder whose weights, configuration and preprocessing are the files of one folder.

    The weights of a frozen encoder are loaded at the first forward: with all vectors in a cache they are never read,
    and `embedding_size`, `fingerprint` and `cache_key` need only the files. They are kept apart from the module's
    parameters, so that checkpoints hold only what is trained; copies and worker processes read them when they need
    them. A trainable model is the submodule :attr:`model`; with `lora` only small adapters beside its linear layers are
    trained. Then :meth:`state_dict`, and with it a checkpoint, leaves the frozen weights out: they are those of
    :attr:`folder`, which the encoder is built from before a checkpoint is loaded.

    A subclass gives :attr:`source`, :attr:`SETTINGS`, :meth:`load_model`, :meth:`embed`, :meth:`read_size`,
    :meth:`write_model` and `get_collate_fn`; where its files do not all lie in the folder itself, :meth:`model_files`.
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
        **settings: A value for each of :attr:`SETTINGS`.

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
        trainable, layers = check_trainable_layers(trainable, settings.get("trainable_layers"))
        if "trainable_layers" in settings:
            settings["trainable_layers"] = layers
        if layers is not None and lora is not None:
            raise ValueError(
                f"trainable_layers={layers} trains layers themselves, and lora trains adapters in place of them. Pass "
                "one of the two"
            )
        self._trainable = trainable or lora is not None
        if gradient_checkpointing and not self._trainable:
            raise ValueError(
                "gradient_checkpointing=True is for a model that is trained: a frozen one has no backward pass. "
                "Leave it out, or pass trainable=True or lora=True"
            )
        self.gradient_checkpointing = gradient_checkpointing
        self.settings: dict[str, Any] = {"dtype": dtype, "normalize": normalize, **settings}
        if lora is not None:  # absent otherwise: a setting counts for the fingerprint
            self.settings["lora"] = lora_settings(lora)
        self.folder = find_model_folder(os.fspath(name_or_folder), revision, self.source)
        self.check_folder(self.folder)
        # Goes where the module goes, and so tells weights that are loaded later where to go.
        self.register_buffer("_device", torch.zeros(0), persistent=False)
        self.__dict__["_frozen"] = None  # not a submodule: see the class's docstring
        self._placed: tuple[torch.device, torch.dtype] | None = None
        self._size: int | None = None
        # Kept, so that what it loads is loaded once, and not for each call of `encode`.
        self.collate_fn: PretrainedCollate | None = None
        # What the files were when the encoder was built, as far as a look at them tells.
        self._found_files = samples(self.folder, self.model_files(self.folder))
        # Digests of the files: of those that the weights were read from, and of those of the last fingerprint.
        self._loaded_files: list[tuple[str, str]] | None = None
        self._digested_files: list[tuple[str, str]] | None = None
        # Not a submodule either: what is trained of it is the submodule `model`.
        self._partly: PartlyTrained | None = None
        if self._trainable:
            self._loaded_files = self._files_now()
            model = self.load_model(self._weights_dtype())
            self.freeze_unused(model)
            if lora is not None:
                add_adapters(model, self.settings["lora"])
            if gradient_checkpointing:
                enable_checkpointing(model)
            if layers is not None:
                self._partly = PartlyTrained(model, layers)
                model = self._partly.divide(self.embed)
            self.model = model

    # ---- what a subclass gives

    @abstractmethod
    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model of :attr:`folder`, on the CPU, in eval mode, without network and without code of its own.

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
            model: What :meth:`load_model` returned, where the batch is.
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
            model: What :meth:`load_model` returned, trained since.
            folder: Where to.
        """

    def freeze_unused(self, model: Any) -> None:
        """Freezes the parameters that no vector depends on; by default there are none.

        They would get no gradient, which training on several devices takes for a mistake.

        Args:
            model: What :meth:`load_model` returned.
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
        place, dtype = self._device.device, self._weights_dtype()
        # Read again for another precision: a cast would round buffers that a model keeps in float32 on purpose.
        model = self.__dict__["_frozen"] if self._placed is not None and self._placed[1] == dtype else None
        if model is None:
            model = self._read_frozen(dtype)
        if self._placed != (place, dtype):
            model.to(place)
            self._placed = (place, dtype)
        return model

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
        for name in self._frozen_names():
            state.pop(kwargs.get("prefix", "") + name, None)
        return state

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
        from quaterion_models.fingerprint import digest_beyond

        files = self._digest_files()
        if self.__dict__["_frozen"] is not None and files != self._loaded_files:
            self.__dict__["_frozen"] = self._placed = self._size = None
        ready = self._ready_made()
        versions = [_major(name) for name in self.DISTRIBUTIONS]
        # What is frozen as a whole keeps the fingerprint that it had before there was such a setting.
        settings = {name: value for name, value in self.settings.items() if value or name != "trainable_layers"}
        content: list[Any] = [ready.__name__, self.ALGORITHM, settings, str(self._device.dtype), versions, files]
        if self._trainable:
            content.append({name: tensor.detach() for name, tensor in self.model.state_dict().items()})
            if files != self._loaded_files:  # the configuration is still the old one
                content.append(self._loaded_files)
        beyond = digest_beyond(self, ready, _OWN)
        if beyond:
            content.append(beyond)
        return blake2b(content_key(content), digest_size=16, person=b"pretrained").hexdigest()

    def get_trunk(self) -> Trunk | None:
        """Returns the embeddings and the frozen layers, where `trainable_layers` leaves such; else None."""
        return None if self._partly is None else _PretrainedTrunk(self, self._partly)

    def trunk_fingerprint(self, partly: PartlyTrained) -> str:
        """Digests what the states below the trained layers depend on: the same before and after a training.

        Args:
            partly: The divided model.

        Returns:
            32 hexadecimal digits.

        Raises:
            TypeError: If something that a subclass adds cannot be hashed.
        """
        from quaterion_models.fingerprint import digest_beyond

        ready = self._ready_made()
        settings = {name: value for name, value in self.settings.items() if name not in _ABOVE_TRUNK}
        versions = [_major(name) for name in self.DISTRIBUTIONS]
        # Saved models have other files for the same frozen weights, so that these are digested themselves.
        described = [
            [(name, digest) for name, digest in files if not is_weights(name)]
            for files in (self._digest_files(), self._loaded_files or [])
        ]
        content: list[Any] = ["trunk", ready.__name__, self.ALGORITHM, settings, str(self._device.dtype), versions]
        content += [described[:1] if described[0] == described[1] else described, partly.split.lower, partly.digest()]
        beyond = digest_beyond(self, ready, _OWN)
        return blake2b(content_key([*content, beyond]), digest_size=16, person=b"trunk").hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model's files and the settings into a folder that needs no network to load.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.pretrained_folder import save_pretrained

        save_pretrained(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Builds the encoder from a folder that :meth:`save` wrote.

        Args:
            path: The folder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing, damaged, or could run code.
        """
        from quaterion_models.saving.pretrained_folder import load_pretrained

        return load_pretrained(cls, Path(path), build=cls)

    @property
    def module_dtype(self) -> torch.dtype:
        """Precision that the module was cast to, which is that of its vectors: float32 unless it was."""
        return self._device.dtype

    def __getstate__(self) -> dict[str, Any]:
        # Frozen weights are in the files: copies and worker processes read them when they need them.
        return {**self.__dict__, "_frozen": None, "_placed": None}

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        # The frozen weights that a state leaves out are there already, so that strict loading misses only adapters.
        own = dict(self.named_parameters())
        for name in self._frozen_names():
            state_dict.setdefault(prefix + name, own[name])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _frozen_names(self) -> list[str]:
        """Names of the frozen weights beside the adapters, which may be frozen too; none without adapters."""
        if not self.has_adapters:
            return []
        return [name for name, one in self.named_parameters() if not one.requires_grad and ".lora_" not in name]

    def _read_frozen(self, dtype: torch.dtype) -> nn.Module:
        files = self._files_now()
        if self._digested_files is None:
            self._check_unchanged(samples(self.folder, self.model_files(self.folder)) == self._found_files)
        model = self.load_model(dtype)
        self._check_unchanged(self._files_now() == files and self._digested_files in (None, files))
        self._loaded_files = files
        self.__dict__["_frozen"] = model.eval().requires_grad_(False)
        self._placed = (torch.device("cpu"), dtype)
        return model

    def _check_unchanged(self, unchanged: bool) -> None:
        since = "the encoder was built" if self._digested_files is None else "the encoder's fingerprint was taken"
        if not unchanged:
            raise ValueError(
                f"the files in {self.folder} have changed since {since}, so the weights would be those of another "
                "model than its head and its cached vectors belong to. Build the encoder again, or call its "
                "fingerprint() to go on with these files"
            )

    def _ready_made(self) -> type[Encoder]:
        return next(cls for cls in type(self).__mro__ if cls.__module__.startswith(_OURS))

    def _digest_files(self) -> list[tuple[str, str]]:
        self._digested_files = files = self._files_now()
        self.collate_fn = None  # its files may have changed too
        return files

    def _files_now(self) -> list[tuple[str, str]]:
        check_there(self.folder)
        return digests(self.folder, self.model_files(self.folder))

    def _weights_dtype(self) -> torch.dtype:
        dtype = self.settings["dtype"]
        return self._device.dtype if dtype is None else _PRECISIONS[dtype]


class _PretrainedTrunk:
    """The trunk of a pre-trained encoder."""

    def __init__(self, encoder: PretrainedEncoder, partly: PartlyTrained) -> None:
        self._encoder, self._partly = encoder, partly

    @property
    def width(self) -> int:
        """Length of a token's state."""
        return self._partly.width

    def fingerprint(self) -> str:
        """See `PretrainedEncoder.trunk_fingerprint`."""
        return self._encoder.trunk_fingerprint(self._partly)

    @torch.no_grad()
    def __call__(self, batch: Any) -> RaggedStates:
        """Computes the states of a batch's tokens."""
        return self._partly.states(self._encoder.embed, batch)


def _major(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution).partition(".")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""
