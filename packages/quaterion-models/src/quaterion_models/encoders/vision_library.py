"""What the encoders of images share in using the library transformers."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quaterion_models.encoders.images import read_images
from quaterion_models.encoders.pretrained_collate import PretrainedCollate
from quaterion_models.encoders.pretrained_files import WEIGHTS, integers_in, read_optional
from quaterion_models.encoders.transformers_library import quietly
from quaterion_models.extras import require

EXTRA = "images"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_LARGEST_SIDE = 8192  # pixels


class ImageCollate(PretrainedCollate):
    """Reads images and turns them into pixels as the model's own image processor does.

    Args:
        folder: The model's folder.
        what: Name of the encoder, for messages.
    """

    def __init__(self, folder: Path, *, what: str) -> None:
        super().__init__(folder)
        self._what = what

    def files(self) -> list[Path]:
        """Lists the files that describe the image processor."""
        paths = [self.folder / name for name in ("config.json", *PROCESSOR_FILES)]
        return [path for path in paths if path.exists()]

    def load(self) -> Any:
        """Loads the image processor that works on arrays, so that pixels do not depend on whether torchvision is here.

        Raises:
            ValueError: If the files are damaged or would run code.
        """
        transformers = require("transformers", extra=EXTRA)
        require("PIL", extra=EXTRA)
        try:
            with quietly(extra=EXTRA):
                return transformers.AutoImageProcessor.from_pretrained(
                    str(self.folder), backend="pil", trust_remote_code=False, local_files_only=True
                )
        except Exception as error:
            raise ValueError(
                f"{self.folder} has no image processor that can be loaded: {type(error).__name__}: {error}"
            ) from error

    def collate(self, tool: Any, objects: list[Any]) -> dict[str, Tensor]:
        """Reads and prepares images.

        Args:
            tool: The image processor.
            objects: B images, as for `quaterion_models.encoders.images.read_images`.

        Returns:
            `pixel_values` `[B, C, H, W]`, and what else the image processor gives.

        Raises:
            ValueError: If an image cannot be read, or the image processor cannot make one batch of them.
            TypeError: If an object is no image.
        """
        pictures = read_images(objects, what=self._what, extra=EXTRA)
        try:
            return dict(tool(pictures, return_tensors="pt"))
        except Exception as error:
            sizes = sorted({picture.size for picture in pictures})
            raise ValueError(
                f"the image processor of {self.folder} cannot make one batch of images of {sizes[:5]} (width, height): "
                f"{type(error).__name__}: {error}"
            ) from error


def load_pretrained_model(folder: Path, dtype: torch.dtype, *, without_pooler: bool = False) -> Any:
    """Loads a model with all of its weights, on the CPU, without network and without code of its own.

    Args:
        folder: Its folder.
        dtype: Precision of the weights.
        without_pooler: Whether to leave out the layer that makes the pooled output, where it can be left out.

    Returns:
        The model, in eval mode.

    Raises:
        ValueError: If the files are damaged, lack weights, or would run code.
    """
    transformers = require("transformers", extra=EXTRA)
    try:
        with quietly(extra=EXTRA):
            config = _config(transformers, folder)
            options: dict[str, Any] = {}
            if without_pooler and "add_pooling_layer" in _parameters(transformers, config):
                options["add_pooling_layer"] = False
            model, loading = transformers.AutoModel.from_pretrained(
                str(folder),
                config=config,
                dtype=dtype,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if "ignore_mismatched_sizes" in reason:  # transformers would log which
            reason = "its weights have other shapes than its config.json declares"
        raise ValueError(f"{folder} cannot be loaded: {reason}") from error
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers would fill them with random numbers
        raise ValueError(
            f"{folder} lacks {len(missing)} weights of a {type(model).__name__}: {', '.join(missing[:5])}. Choose a "
            "pooling that does not need them, or pass a folder that holds them all"
        )
    return model.eval()


def empty_model(folder: Path) -> Any:
    """Builds a model without memory for its weights, to find out what it computes.

    Args:
        folder: Its folder.

    Returns:
        The model on the device `meta`, in eval mode.

    Raises:
        ValueError: If its configuration is damaged or would run code.
    """
    transformers = require("transformers", extra=EXTRA)
    try:
        with quietly(extra=EXTRA), torch.device("meta"):
            config = _config(transformers, folder)
            return transformers.AutoModel.from_config(config, trust_remote_code=False).eval()
    except Exception as error:
        raise ValueError(f"{folder} describes no model that can be built: {type(error).__name__}: {error}") from error


def in_precision_of(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Brings the floats of a batch to the precision of a model's weights.

    Args:
        model: A model of transformers.
        batch: Its input by name.

    Returns:
        The input; what is no float stays as it is.
    """
    return {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in batch.items()}


def write_pretrained_model(model: Any, files: list[Path], folder: Path) -> None:
    """Writes a model's weights as safetensors, and its other files as they were.

    Args:
        model: The model.
        files: The files that it was loaded from.
        folder: Where to.
    """
    with quietly(extra=EXTRA):
        model.save_pretrained(str(folder))
    for file in files:
        # Over the configuration that was just written, which may be that of a part of the model.
        if file.suffix not in WEIGHTS and not file.name.endswith(".index.json"):
            shutil.copyfile(file, folder / file.name)


def check_picture_sizes(folder: Path) -> None:
    """Checks that the image processor of a saved model asks for no pictures too large for any model.

    Args:
        folder: The model's folder.

    Raises:
        ValueError: If it does.
    """
    for file in PROCESSOR_FILES:
        largest = max(integers_in(read_optional(folder / file)), default=0)
        if largest > _LARGEST_SIDE:
            raise ValueError(
                f"{folder / file} asks for images of {largest} pixels, expected at most {_LARGEST_SIDE}. The folder is "
                "damaged"
            )


def _config(transformers: Any, folder: Path) -> Any:
    return transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def _parameters(transformers: Any, config: Any) -> set[str]:
    """Lists the constructor's parameters of a configuration's class of models."""
    if type(config) not in transformers.MODEL_MAPPING:
        return set()
    return set(inspect.signature(transformers.MODEL_MAPPING[type(config)].__init__).parameters)
