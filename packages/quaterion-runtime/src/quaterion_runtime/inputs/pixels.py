"""Images as pixels."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.extras import require
from quaterion_runtime.folder import PixelsInput
from quaterion_runtime.inputs.prepare import InputPreparer, Prepared


class PixelsPreparer(InputPreparer):
    """Reads, resizes and scales images.

    Args:
        described: The input, as the folder describes it.

    Raises:
        ImportError: If Pillow is not installed.
    """

    def __init__(self, described: PixelsInput) -> None:
        self._described = described
        self._image = require("PIL.Image", extra="images")
        self._ops = require("PIL.ImageOps", extra="images")
        self._filter = self._image.Resampling[described.resample.upper()]

    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> Prepared:  # noqa: ARG002
        """Reads images: PIL images, paths, bytes, or uint8 arrays `[H, W]` or `[H, W, 3]`."""
        images = [self._read(obj, position) for obj, position in zip(objects, positions, strict=True)]
        return _Pixels(self._described.tensors["pixels"], [self._pixels(image) for image in images])

    def _read(self, obj: Any, position: int) -> Any:
        what = f"{obj} at position {position}" if isinstance(obj, str | os.PathLike) else f"at position {position}"
        try:
            if isinstance(obj, np.ndarray):
                image = self._image.fromarray(obj)
            elif isinstance(obj, str | os.PathLike):
                image = self._image.open(io.BytesIO(Path(obj).read_bytes()))
            elif isinstance(obj, bytes | bytearray | memoryview):
                image = self._image.open(io.BytesIO(obj))
            elif isinstance(obj, self._image.Image):
                image = obj
            else:
                raise TypeError(
                    f"the model takes images, got {type(obj).__name__} at position {position}. Pass PIL images, paths, "
                    "bytes or uint8 arrays"
                )
            return self._ops.exif_transpose(image).convert("RGB")
        except (OSError, ValueError, SyntaxError, self._image.DecompressionBombError) as error:
            raise ValueError(f"the image {what} cannot be read: {error}") from error

    def _pixels(self, image: Any) -> NDArray[np.float32]:
        resize, crop = self._described.resize, self._described.crop
        width, height = image.size
        if resize is not None and "shortest_edge" in resize:
            short, edge = min(width, height), resize["shortest_edge"]
            image = image.resize((int(edge * width / short), int(edge * height / short)), resample=self._filter)
        elif resize is not None:
            image = image.resize((resize["width"], resize["height"]), resample=self._filter)
        pixels = np.asarray(image, dtype=np.uint8)
        if crop is not None:
            pixels = _middle(pixels, *crop)
        values = pixels.astype(np.float64) * self._described.rescale
        scaled = (values - np.array(self._described.mean)) / np.array(self._described.std)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)  # [3, H, W]


def _middle(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cuts out the middle; what lies beyond a small image is black."""
    rows, columns = pixels.shape[:2]
    if rows < height or columns < width:
        whole = np.zeros((max(rows, height), max(columns, width), 3), dtype=np.uint8)
        top, left = -(-(whole.shape[0] - rows) // 2), -(-(whole.shape[1] - columns) // 2)
        whole[top : top + rows, left : left + columns] = pixels
        pixels, (rows, columns) = whole, whole.shape[:2]
    top, left = (rows - height) // 2, (columns - width) // 2
    return pixels[top : top + height, left : left + width]


class _Pixels(Prepared):
    """Pixels of images, which differ in size only where nothing resizes them."""

    def __init__(self, name: str, images: Sequence[NDArray[np.float32]]) -> None:
        self._name, self._images = name, images

    def lengths(self) -> NDArray[np.int64]:
        return np.zeros(len(self._images), dtype=np.int64)

    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {self._name: np.stack([self._images[row] for row in rows])}
