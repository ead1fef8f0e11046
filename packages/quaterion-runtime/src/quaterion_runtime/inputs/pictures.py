"""Images of any kind as RGB pictures: the same that the model saw when it was trained."""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.extras import require

_ORIENTATION = 0x0112  # the EXIF tag; its values, and what turns such an image upright:
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_LONGEST = 1000  # times its width: made 224 pixels wide, as models ask for, a longer one may not fit into memory


def read_picture(obj: Any, position: int) -> Any:
    """Turns an object into a picture.

    Args:
        obj: An image of PIL, the path of a file (text or a path), a file's bytes, or an array `[H, W]` or `[H, W, C]`,
            where C is 1, 3 or 4 and the numbers are of 8 or 16 bits, booleans, or floats from 0 to 1.
        position: Where it stands among the caller's objects, for messages.

    Returns:
        An image of PIL in mode RGB: of a file the first of several frames, turned upright as its EXIF orientation says,
        16 bits scaled to 8, and what is transparent on white.

    Raises:
        ValueError: If it cannot be read.
        TypeError: If it is nothing of these.
        ImportError: If Pillow is not installed.
    """
    image = require("PIL.Image", extra="images")
    if not isinstance(obj, str | os.PathLike | bytes | bytearray | memoryview | np.ndarray | image.Image):
        raise TypeError(
            f"the model takes images, got {type(obj).__name__} at position {position}. Pass images of PIL, paths, "
            "bytes or arrays"
        )
    try:
        return _read(obj, image)
    except Exception as error:  # decoders raise anything; a warning may be an error, too
        path = f" {os.fspath(obj)!r}" if isinstance(obj, str | os.PathLike) else ""
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        elif isinstance(error, image.UnidentifiedImageError):  # its own text shows how the file was opened
            reason = "it is in no format of images that Pillow knows"
        else:
            reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(f"the image{path} at position {position} cannot be read: {reason}") from error


def _read(obj: Any, image: Any) -> Any:
    if isinstance(obj, np.ndarray):
        obj = image.fromarray(_pixels(obj))
    elif isinstance(obj, str | os.PathLike):
        if Path(obj).exists() and not Path(obj).is_file():  # a pipe or a device could be read without end
            raise ValueError("it is a folder, a pipe or a device, expected a file")
        with image.open(obj) as file:
            return _read(file, image)
    elif not isinstance(obj, image.Image):
        with image.open(BytesIO(obj)) as file:
            return _read(file, image)
    width, height = obj.size
    if not width or not height:
        raise ValueError("it has no pixels")
    if max(width, height) > _LONGEST * min(width, height):
        raise ValueError(f"it has {width} x {height} pixels, one side more than {_LONGEST} times the other")
    if obj.format == "EPS" and obj.tile:
        raise ValueError("it is PostScript, a program, which is not run. Convert it to PNG")
    obj.load()
    turn = _TURNS.get(_orientation(obj))
    return _in_colour(obj if turn is None else obj.transpose(image.Transpose[turn]), image)


def _orientation(picture: Any) -> int:
    """Reads how an image is to be turned; damaged EXIF data say nothing, and its pixels are as good as without."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  # whatever the parser raises
        return 1


def _in_colour(picture: Any, image: Any) -> Any:
    """Converts an image of any mode to RGB."""
    if picture.mode.startswith("I"):  # 16 bits, in some formats as int32; PIL's own conversion cuts them off at 255
        values, transparent = np.asarray(picture), picture.info.get("transparency")
        if isinstance(transparent, int):
            values = np.where(values == transparent, 65535, values)
        fits = values.min() >= 0 and values.max() <= 65535
        picture = image.fromarray(_eight_bits(values.astype(np.uint16) if fits else values))
    elif picture.mode == "F":
        picture = image.fromarray(_eight_bits(np.asarray(picture)))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    # The colour that a file stores under transparent pixels is arbitrary.
    white = image.new("RGBA", picture.size, "white")
    return image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _pixels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Brings an array to 8 bits."""
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"its shape is {list(array.shape)}, expected [H, W] or [H, W, C] with 1, 3 or 4 channels")
    pixels = _eight_bits(array.astype(array.dtype.newbyteorder("="), copy=False))
    return np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:  # false where there is a NaN
        pixels: NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
        return pixels
    if array.dtype == np.uint16:
        return ((array.astype(np.int32) + 128) // 257).astype(np.uint8)
    raise ValueError(
        f"its numbers are {array.dtype} from {array.min()} to {array.max()}, expected uint8, uint16, booleans, or "
        "floats from 0 to 1"
    )
