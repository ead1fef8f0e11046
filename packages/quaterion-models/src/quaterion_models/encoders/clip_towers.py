"""The two halves of a model of texts and images, each an encoder of its own."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from quaterion_models.encoders.images import image_key
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_encoder import Precision, PretrainedEncoder
from quaterion_models.encoders.pretrained_files import WEIGHTS, ModelSource, files_in, read_optional
from quaterion_models.encoders.transformers_library import check_texts, load_tokenizer
from quaterion_models.encoders.transformers_tokenizer import most_tokens
from quaterion_models.encoders.vision_library import (
    EXTRA,
    PROCESSOR_FILES,
    ImageCollate,
    check_picture_sizes,
    empty_model,
    in_precision_of,
    load_pretrained_model,
    write_pretrained_model,
)
from quaterion_models.types import CollateFnType

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

# Trained with every text padded to this length, without a mask that would hide the padding.
_PADDED_MODELS = frozenset({"siglip", "siglip2", "align", "tipsv2"})
_PADDED_LENGTH = 64


class ClipTower(PretrainedEncoder):
    """Half of a model of texts and images. Only its own half of the weights is kept in memory.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub.
        trainable: Whether training changes the model.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of
            arguments of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.
    """

    source = ModelSource(kind="a model of texts and images", example="openai/clip-vit-base-patch32", extra=EXTRA)
    DISTRIBUTIONS = ("transformers", "pillow")
    METHOD: ClassVar[str]
    """Name of the model's method that computes the vectors."""
    OTHERS: ClassVar[tuple[str, ...]]
    """What stands in the names of the parts that only the other tower needs."""

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        normalize: bool = True,
        dtype: Precision | None = None,
        revision: str | None = None,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            name_or_folder,
            trainable,
            normalize=normalize,
            dtype=dtype,
            revision=revision,
            lora=lora,
            gradient_checkpointing=gradient_checkpointing,
        )

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Checks that a folder holds a model of texts and images."""
        super().check_folder(folder)
        config = read_optional(folder / "config.json")
        if not {"text_config", "vision_config"} <= config.keys():
            raise ValueError(
                f"{folder} is not {cls.source.kind}: its config.json has no text_config and vision_config. Models of "
                "images alone are for ImageEncoder, models of text for TransformersEncoder"
            )
        if not any((folder / name).exists() for name in PROCESSOR_FILES):
            raise ValueError(f"{folder} has no {PROCESSOR_FILES[0]}: its files are not complete")

    @classmethod
    def check_sizes(cls, folder: Path) -> None:
        """Checks that the files of a saved model declare nothing larger than they hold."""
        super().check_sizes(folder)
        check_picture_sizes(folder)

    def read_size(self) -> int:
        """Tells the length of the vectors: from the configuration, or by following an empty text through the model."""
        size = read_optional(self.folder / "config.json").get("projection_dim")
        if isinstance(size, int):
            return size
        model = self._checked(empty_model(self.folder))
        with torch.no_grad():  # of both towers alike
            features = model.get_text_features(torch.zeros(1, 2, dtype=torch.int64, device="meta"))
        return int(features.pooler_output.shape[1])

    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model and drops what only the other tower needs."""
        model: nn.Module = self._checked(load_pretrained_model(self.folder, dtype))
        for name, _ in list(model.named_children()):
            if any(part in name for part in self.OTHERS):
                setattr(model, name, None)
        for name, _ in list(model.named_parameters(recurse=False)):
            setattr(model, name, None)  # they scale similarities, not vectors
        return model

    def embed(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Runs the tower and its projection.

        Args:
            model: The model.
            batch: What the collate function returned for B objects.

        Returns:
            `[B, embedding_size]`.
        """
        compute = getattr(model, self.METHOD)
        known = inspect.signature(compute).parameters  # tokenizers may give more than a model takes
        inputs = {name: value for name, value in in_precision_of(model, batch).items() if name in known}
        vectors: Tensor = compute(**inputs).pooler_output
        return vectors

    def write_model(self, model: Any, folder: Path) -> None:
        """Writes the weights of the whole model, those of the other tower as they were.

        Args:
            model: The tower's model, or those of both towers in a list.
            folder: Where to.
        """
        whole = load_pretrained_model(self.folder, self._weights_dtype())
        for tower in model if isinstance(model, list) else [model]:
            for name, part in tower.named_children():
                setattr(whole, name, part)
        write_pretrained_model(whole, self.model_files(self.folder), folder)

    def _checked(self, model: Any) -> Any:
        for method in (ClipTextEncoder.METHOD, ClipImageEncoder.METHOD):
            if not hasattr(model, method):
                raise ValueError(f"{self.folder} is a {type(model).__name__}, which has no {method}()")
        return model


class ClipTextEncoder(ClipTower):
    """Encodes texts with the text tower of a model like CLIP, into the space that it shares with images.

    Needs the extra `images`. `ClipEncoder` takes texts and images.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub.
        trainable: Whether training changes the model.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of
            arguments of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, or it is not one of texts and images.
        ImportError: If the extra is not installed.
    """

    METHOD = "get_text_features"
    OTHERS = ("vis", "image")

    def get_collate_fn(self) -> CollateFnType:
        """Returns the tokenizer: picklable, and without the model's weights."""
        return ClipTokenizer(self.folder)


class ClipImageEncoder(ClipTower):
    """Encodes images with the image tower of a model like CLIP, into the space that it shares with texts.

    Takes images as `ImageEncoder` does. Needs the extra `images`. `ClipEncoder` takes texts and images.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub.
        trainable: Whether training changes the model.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of
            arguments of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, or it is not one of texts and images.
        ImportError: If the extra is not installed.
    """

    METHOD = "get_image_features"
    OTHERS = ("text",)

    def get_collate_fn(self) -> CollateFnType:
        """Returns the reading and preparing of images: picklable, and without the model's weights."""
        return ImageCollate(self.folder, what=type(self).__name__)

    def cache_key(self, obj: Any) -> bytes:
        """Computes the key of a file's bytes or of an image's pixels."""
        return image_key(obj, what=type(self).__name__)

    def length(self, obj: Any) -> int:  # noqa: ARG002
        """Returns 0: all images cost the same."""
        return 0


class ClipTokenizer(PretrainedCollate):
    """Turns texts into the input of a model like CLIP; the collate function of its text tower.

    Args:
        folder: The model's folder.
    """

    def files(self) -> list[Path]:
        """Lists the files of the tokenizer, and the configuration."""
        return [path for path in files_in([self.folder]) if path.suffix not in WEIGHTS]

    def load(self) -> Callable[[list[str]], dict[str, Tensor]]:
        """Loads the tokenizer, set to the padding and the limit that the model was trained with."""
        tokenizer = load_tokenizer(self.folder, extra=EXTRA)
        config = read_optional(self.folder / "config.json")
        padded = config.get("model_type") in _PADDED_MODELS
        limits = [most_tokens(config), tokenizer.model_max_length, _PADDED_LENGTH if padded else None]
        return partial(
            tokenizer,
            padding="max_length" if padded else True,
            padding_side="right",
            truncation=True,
            max_length=min(limit for limit in limits if limit is not None),
            return_tensors="pt",
        )

    def collate(self, tool: Any, objects: list[str]) -> dict[str, Tensor]:
        """Tokenises texts.

        Args:
            tool: What `load` returned.
            objects: B texts.

        Returns:
            `input_ids` `[B, T]`, and what else the tokenizer gives.

        Raises:
            TypeError: If one is not text.
        """
        check_texts(objects, ClipTextEncoder.__name__)
        return dict(tool(objects))
