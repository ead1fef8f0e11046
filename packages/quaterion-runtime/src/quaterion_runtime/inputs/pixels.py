"""Images as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.extras import require
from quaterion_runtime.folder import PixelsInput
from quaterion_runtime.inputs.pictures import read_picture
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
        self._filter = require("PIL.Image", extra="images").Resampling[described.resample.upper()]

    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> Prepared:  # noqa: ARG002
        """Takes images, which are read when their batch is due: their pixels need far more memory than their files."""
        return _Images(self, objects, positions)

    def read(self, objects: Sequence[Any], positions: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Reads images.

        Args:
            objects: B images, as `quaterion_runtime.inputs.pictures.read_picture` takes them.
            positions: Where they stand among the caller's objects, for messages.

        Returns:
            The graph's input, float32 `[B, 3, H, W]`.

        Raises:
            TypeError: If an object is no image.
            ValueError: If an image cannot be read, or they differ in size and the model does not resize them.
        """
        images = [self._pixels(read_picture(obj, position)) for obj, position in zip(objects, positions, strict=True)]
        sizes = {image.shape[1:] for image in images}
        if len(sizes) > 1:
            raise ValueError(
                f"the model takes images as they are, and those of a batch differ in size: {sorted(sizes)[:5]} (height "
                "and width in pixels). Pass images of one size, or batch_size=1"
            )
        return {self._described.tensors["pixels"]: np.stack(images)}

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


class _Images(Prepared):
    """Images that are not read yet."""

    def __init__(self, preparer: PixelsPreparer, objects: Sequence[Any], positions: Sequence[int]) -> None:
        self._preparer, self._objects, self._positions = preparer, objects, positions

    def lengths(self) -> NDArray[np.int64]:
        return np.zeros(len(self._objects), dtype=np.int64)

    def batch(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        return self._preparer.read([self._objects[row] for row in rows], [self._positions[row] for row in rows])


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
