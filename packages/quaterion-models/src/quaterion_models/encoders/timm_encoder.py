"""An encoder of images by a pre-trained model of timm."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from quaterion_models.encoders.images import image_key, read_images
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_encoder import Precision, PretrainedEncoder
from quaterion_models.encoders.pretrained_files import ModelSource, integers_in, read_optional
from quaterion_models.extras import require
from quaterion_models.types import CollateFnType

if TYPE_CHECKING:
    from quaterion_models.encoders.lora import LoraOptions

_EXTRA = "timm"
_CONFIG = "config.json"
_LARGEST = 2**16  # of what a configuration may declare: a width, a side in pixels
_LAYERS, _MOST_LAYERS = re.compile("depth|layer|block"), 1000


class TimmEncoder(PretrainedEncoder):
    """Encodes images with a model of timm: its features before the classifier, pooled as the model does.

    Takes images as `ImageEncoder` does, and prepares them as the model was evaluated: with its own size, crop,
    interpolation, mean and deviation.

    Needs the extra `timm`, which brings torchvision.

    Args:
        name_or_folder: Name of pre-trained weights, such as `"resnet18.a1_in1k"` or
            `"vit_small_patch14_dinov2.lvd142m"`; a name on the Hugging Face hub; or a folder as timm writes it
            (`timm.models.save_for_hf(model, folder, safe_serialization=True)`).
        trainable: Whether training changes the model.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of arguments
            of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, or it is not one of timm.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = TimmEncoder("resnet18.a1_in1k")  # doctest: +SKIP
        >>> encoder.embedding_size  # doctest: +SKIP
        512
    """

    source = ModelSource(kind="a model of timm", example="timm/resnet18.a1_in1k", extra=_EXTRA, organisation="timm")
    DISTRIBUTIONS = ("timm", "pillow")

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        normalize: bool = False,
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
        """Checks that a folder holds a model of timm."""
        super().check_folder(folder)
        if "architecture" not in read_optional(folder / _CONFIG):
            raise ValueError(
                f"{folder} is not {cls.source.kind}: its {_CONFIG} names no architecture. Models of transformers are "
                "for ImageEncoder"
            )

    @classmethod
    def check_sizes(cls, folder: Path) -> None:
        """Checks that the configuration of a saved model declares nothing larger than models are."""
        super().check_sizes(folder)
        config = read_optional(folder / _CONFIG)
        prepared = config.get("pretrained_cfg", config)
        sizes = {name: value for name, value in prepared.items() if name.endswith("input_size")}
        arguments = config.get("model_args")
        largest = max(integers_in([arguments, sizes]), default=0)
        if largest > _LARGEST:
            raise ValueError(f"{folder / _CONFIG} declares a size of {largest}, expected at most {_LARGEST}")
        parts = arguments if isinstance(arguments, dict) else {}
        layers = sum(integers_in([value for name, value in parts.items() if _LAYERS.search(name)]))
        if layers > _MOST_LAYERS:
            raise ValueError(f"{folder / _CONFIG} declares {layers} layers, expected at most {_MOST_LAYERS}")

    def get_collate_fn(self) -> CollateFnType:
        """Returns the reading and preparing of images: picklable, and without the model's weights."""
        return TimmCollate(self.folder, what=type(self).__name__)

    def cache_key(self, obj: Any) -> bytes:
        """Computes the key of a file's bytes or of an image's pixels."""
        return image_key(obj, what=type(self).__name__)

    def length(self, obj: Any) -> int:  # noqa: ARG002
        """Returns 0: all images cost the same."""
        return 0

    def read_size(self) -> int:
        """Tells the length of the vectors, by following an empty image through the model."""
        model = _empty_model(self.folder)
        side = require("timm.data", extra=_EXTRA).resolve_model_data_config(model)["input_size"]
        with torch.no_grad():
            return self.embed(model, torch.empty(1, *side, device="meta")).shape[1]

    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model without its classifier."""
        model: nn.Module = _create(self.folder, pretrained=True)
        missing = _missing_weights(model, self.folder)
        if missing:
            raise ValueError(
                f"{self.folder} lacks {len(missing)} weights of its architecture, which would be random: "
                f"{', '.join(missing[:5])}. Pass a folder that holds them all"
            )
        return model.to(dtype).eval()

    def embed(self, model: Any, batch: Tensor) -> Tensor:
        """Computes the pooled features.

        Args:
            model: The model.
            batch: Pixels `[B, C, H, W]`.

        Returns:
            `[B, embedding_size]`.
        """
        features: Tensor = model(batch.to(next(model.parameters()).dtype))
        return features

    def write_model(self, model: Any, folder: Path) -> None:
        """Writes the model as timm does."""
        models = require("timm.models", extra=_EXTRA)
        models.save_for_hf(model, str(folder), safe_serialization=True)


class TimmCollate(PretrainedCollate):
    """Reads images and turns them into pixels as a model of timm was evaluated with.

    Args:
        folder: The model's folder.
        what: Name of the encoder, for messages.
    """

    def __init__(self, folder: Path, *, what: str) -> None:
        super().__init__(folder)
        self._what = what

    def files(self) -> list[Path]:
        """Lists the file that describes the preparation."""
        return [self.folder / _CONFIG]

    def load(self) -> Any:
        """Builds the transform, from the model without its weights."""
        data = require("timm.data", extra=_EXTRA)
        return data.create_transform(**data.resolve_model_data_config(_empty_model(self.folder)), is_training=False)

    def collate(self, tool: Any, objects: list[Any]) -> Tensor:
        """Reads and prepares images.

        Args:
            tool: The transform.
            objects: B images, as for `quaterion_models.encoders.images.read_images`.

        Returns:
            Pixels `[B, C, H, W]`.

        Raises:
            ValueError: If an image cannot be read.
            TypeError: If an object is no image.
        """
        return torch.stack([tool(picture) for picture in read_images(objects, what=self._what, extra=_EXTRA)])


def _create(folder: Path, *, pretrained: bool) -> Any:
    timm = require("timm", extra=_EXTRA)
    try:
        return timm.create_model(f"local-dir:{folder}", pretrained=pretrained, num_classes=0)
    except Exception as error:
        raise ValueError(f"{folder} cannot be loaded as a model of timm: {type(error).__name__}: {error}") from error


def _empty_model(folder: Path) -> Any:
    with torch.device("meta"):
        return _create(folder, pretrained=False).eval()


def _missing_weights(model: nn.Module, folder: Path) -> list[str]:
    """Lists weights that the file lacks, where it holds them under timm's own names."""
    from safetensors import safe_open

    path = folder / "model.safetensors"
    if not path.exists():
        return []
    with safe_open(path, "pt") as file:
        held = set(file.keys())
    needed = set(model.state_dict())
    # timm converts the names of other libraries; then it is not known here what a missing name means.
    converted = len(held & needed) < len(held) / 2
    return [] if converted else sorted(needed - held)
