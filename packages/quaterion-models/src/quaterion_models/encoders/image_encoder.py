"""An encoder of images by a pre-trained vision model of Hugging Face."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from quaterion_models.encoders.images import image_key
from quaterion_models.encoders.pretrained_encoder import Precision, PretrainedEncoder
from quaterion_models.encoders.pretrained_files import ModelSource, read_optional
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

ImagePooling = Literal["cls", "mean", "pooler"]

# Models whose first token stands for the image, and whose pooler is a layer that their checkpoints may not hold.
_CLS_MODELS = frozenset({"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn", "pixio"})


class ImageEncoder(PretrainedEncoder):
    """Encodes images with a vision model of the library transformers: ViT, DINOv2, ResNet, ConvNeXt, Swin and others.

    An object is an image of PIL, the path of a file (text or a path), a file's bytes, an array `[H, W]` or `[H, W, C]`,
    or a tensor `[C, H, W]`, with 8 or 16 bits, or floats from 0 to 1. Images are turned upright as their EXIF
    orientation says, and what is transparent lies on white. They are read and prepared by the model's own image
    processor in the collate step. The cache knows a file by its bytes and any other image by its pixels.

    Needs the extra `images`.

    Args:
        name_or_folder: A folder with the files of a model, or its name on the Hugging Face hub, such as
            `"facebook/dinov2-small"`.
        trainable: Whether training changes the model.
        pooling: `"cls"` for the vector of the first token, `"mean"` for the mean over all patches, `"pooler"` for the
            model's own pooled output. None for what is usual: `"cls"` for ViT, DeiT, DINO and MSN; `"pooler"` for
            others that have a pooled output (ResNet, ConvNeXt, Swin and most), else `"mean"`.
        normalize: Whether to scale the vectors to length 1.
        dtype: Precision of the weights; None for that of the module, which is float32 unless it is cast (`.half()`).
        revision: Branch, tag or commit on the hub.
        lora: Train adapters in the place of the weights: True for rank 8 beside all linear layers, a dict of arguments
            of `peft.LoraConfig`, or one. Needs the extra `lora`.
        gradient_checkpointing: Whether a trained model computes its layers again in the backward pass: less memory,
            more time, the same gradients.

    Raises:
        ValueError: If there is no such model, it is not one of images, or `pooling` is unknown.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = ImageEncoder("facebook/dinov2-small")  # doctest: +SKIP
        >>> SimilarityModel(encoder, EmptyHead(384)).encode(["cat.jpg", "dog.png"]).shape  # doctest: +SKIP
        (2, 384)
    """

    source = ModelSource(kind="a vision model of transformers", example="facebook/dinov2-small", extra=EXTRA)
    SETTINGS: ClassVar[Mapping[str, type | tuple[type, ...]]] = {"pooling": (str, type(None))}
    DISTRIBUTIONS = ("transformers", "pillow")

    def __init__(
        self,
        name_or_folder: str | os.PathLike[str],
        trainable: bool = False,
        *,
        pooling: ImagePooling | None = None,
        normalize: bool = False,
        dtype: Precision | None = None,
        revision: str | None = None,
        lora: LoraOptions | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        if pooling is not None and pooling not in get_args(ImagePooling):
            raise ValueError(f"pooling must be None or one of {list(get_args(ImagePooling))}, got {pooling!r}")
        super().__init__(
            name_or_folder,
            trainable,
            normalize=normalize,
            dtype=dtype,
            revision=revision,
            lora=lora,
            gradient_checkpointing=gradient_checkpointing,
            pooling=pooling,
        )

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Checks that a folder holds a model of images."""
        super().check_folder(folder)
        config = read_optional(folder / "config.json")
        if "vision_config" in config:
            raise ValueError(f"{folder} is a model of texts and images: use ClipEncoder, which takes both")
        if not any((folder / name).exists() for name in PROCESSOR_FILES):
            raise ValueError(
                f"{folder} has no {PROCESSOR_FILES[0]}, so it is not {cls.source.kind}, or its files are not complete. "
                "Models of text are for TransformersEncoder, models of timm for TimmEncoder"
            )
        if config.get("model_type") == "vit_mae":
            raise ValueError(
                f"{folder} is a masked autoencoder, which hides other parts of an image each time. Its weights are "
                'those of a ViT: write "model_type": "vit" into its config.json'
            )
        if config.get("num_channels", 3) != 3:
            raise ValueError(
                f"{folder} takes images of {config['num_channels']} channels, expected 3 (red, green, blue)"
            )

    @classmethod
    def check_sizes(cls, folder: Path) -> None:
        """Checks that the files of a saved model declare nothing larger than they hold."""
        super().check_sizes(folder)
        check_picture_sizes(folder)

    def get_collate_fn(self) -> CollateFnType:
        """Returns the reading and preparing of images: picklable, and without the model's weights."""
        return ImageCollate(self.folder, what=type(self).__name__)

    def cache_key(self, obj: Any) -> bytes:
        """Computes the key of a file's bytes or of an image's pixels."""
        return image_key(obj, what=type(self).__name__)

    def length(self, obj: Any) -> int:  # noqa: ARG002
        """Returns 0: all images cost the same."""
        return 0

    def read_size(self) -> int:
        """Tells the length of the vectors: from the configuration, or by following an empty image through the model."""
        config = read_optional(self.folder / "config.json")
        size = config.get("hidden_size")
        if isinstance(size, int):
            return size
        model = empty_model(self.folder)
        side = config.get("image_size", 224)
        height, width = side if isinstance(side, list) else (side, side)
        with torch.no_grad():
            vectors = self.embed(model, {"pixel_values": torch.empty(1, 3, height, width, device="meta")})
        return vectors.shape[1]

    def load_model(self, dtype: torch.dtype) -> nn.Module:
        """Loads the model, without the pooler that `pooling` does not use."""
        kind = read_optional(self.folder / "config.json").get("model_type")
        no_pooler = self._pooling_of(kind) in {"cls", "mean"}
        model: nn.Module = load_pretrained_model(self.folder, dtype, without_pooler=no_pooler)
        return model

    def embed(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Runs the model and pools what it gives.

        Args:
            model: The model.
            batch: What the collate function returned for B images.

        Returns:
            `[B, embedding_size]`.

        Raises:
            ValueError: If the model does not give what `pooling` asks for.
        """
        output = model(**in_precision_of(model, batch))
        return pool_images(
            output.last_hidden_state,
            getattr(output, "pooler_output", None),
            self._pooling_of(model.config.model_type),
            patches=_patches(batch["pixel_values"], model.config),
        )

    def write_model(self, model: Any, folder: Path) -> None:
        """Writes the weights as safetensors beside the configuration and the image processor as they were."""
        write_pretrained_model(model, self.model_files(self.folder), folder)

    def _pooling_of(self, kind: str | None) -> ImagePooling | None:
        pooling: ImagePooling | None = self.settings["pooling"]
        return "cls" if pooling is None and kind in _CLS_MODELS else pooling


def pool_images(
    hidden: Tensor, pooled: Tensor | None, pooling: ImagePooling | None, *, patches: int | None = None
) -> Tensor:
    """Pools what a vision model gives to one vector an image.

    Args:
        hidden: Vectors of tokens `[B, T, D]`, or of places `[B, D, H, W]`.
        pooled: The model's own pooled output, `[B, D]` or `[B, D, 1, 1]`, where it has one.
        pooling: `"cls"`, `"mean"`, `"pooler"`; None for the pooled output where there is one, else the mean.
        patches: Number of patches of an image: tokens before the last so many are not among the mean's.

    Returns:
        `[B, D]`.

    Raises:
        ValueError: If there is no such output.

    Example:
        >>> tokens = torch.tensor([[[9.0], [1.0], [3.0]]])
        >>> pool_images(tokens, None, "mean", patches=2), pool_images(tokens, None, "cls")
        (tensor([[2.]]), tensor([[9.]]))
    """
    if pooling == "pooler" or (pooling is None and pooled is not None):
        if pooled is None:
            raise ValueError('the model has no pooled output: choose the pooling "cls" or "mean"')
        return pooled.flatten(1)
    if hidden.dim() == 4:  # places, not tokens
        if pooling == "cls":
            raise ValueError('the model has no first token for the pooling "cls": choose "pooler" or "mean"')
        return hidden.mean(dim=(2, 3))
    if pooling == "cls":
        return hidden[:, 0]
    first = 0 if patches is None else max(hidden.shape[1] - patches, 0)
    return hidden[:, first:].mean(dim=1)


def _patches(pixels: Tensor, config: Any) -> int | None:
    """Counts the patches that a picture is cut into; None where the model does not tell."""
    size = getattr(config, "patch_size", None)
    if size is None or pixels.dim() != 4:
        return None
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return int((pixels.shape[2] // height) * (pixels.shape[3] // width))
