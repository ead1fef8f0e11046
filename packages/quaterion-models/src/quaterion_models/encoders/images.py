"""Images of any kind: as RGB pictures for a model, and as keys of their content for the cache."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quaterion_models.content_key import content_key
from quaterion_models.extras import require

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


def read_images(objects: Sequence[Any], *, what: str, extra: str = "images") -> list[Any]:
    """Turns objects into pictures.

    Args:
        objects: Each an image of PIL, the path of a file (text or a path), a file's bytes, an array `[H, W]` or
            `[H, W, C]`, or a tensor `[C, H, W]` or `[H, W]`; C is 1, 3 or 4. The numbers are of 8 or 16 bits, booleans,
            or floats from 0 to 1.
        what: Who takes them, for messages.
        extra: The extra of our distribution that brings Pillow.

    Returns:
        Images of PIL in mode RGB: of a file the first of several frames, turned upright as its EXIF orientation says,
        16 bits scaled to 8, and what is transparent on white.

    Raises:
        ValueError: If one cannot be read; the message names its path and its position.
        TypeError: If one is nothing of these.
    """
    require("PIL", extra=extra)
    pictures = []
    for position, obj in enumerate(objects):
        place = f" at position {position} among the images of the batch"
        with _named(obj, place, what):
            pictures.append(_read(obj))
    return pictures


def image_key(obj: Any, *, what: str) -> bytes:
    """Computes the key of an image's content: of a file its bytes, whatever its name; of anything else its pixels.

    Args:
        obj: As for `read_images`.
        what: Who takes it, for messages.

    Returns:
        16 bytes.

    Raises:
        ValueError: If it cannot be read.
        TypeError: If it is no image.
    """
    with _named(obj, "", what):
        if isinstance(obj, (bytes, bytearray, memoryview)):
            key: bytes = _file_hasher(obj).digest()
            return key
        if isinstance(obj, (str, os.PathLike)):
            _check_file(obj)
            with Path(obj).open("rb") as file:
                return hashlib.file_digest(file, _file_hasher).digest()
        if isinstance(obj, (np.ndarray, torch.Tensor)):
            return content_key(obj)
        _load(obj)  # before that, an image may not yet be turned as its orientation says
        return content_key((obj, _orientation(obj)))


def is_image(obj: Any) -> bool:
    """Tells whether an object is of a kind that `read_images` takes."""
    return isinstance(obj, (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray, torch.Tensor)) or _is_pil(obj)


def _is_pil(obj: Any) -> bool:
    # By name, so that nothing is imported to look at an object of another kind.
    return any(f"{base.__module__}.{base.__qualname__}" == "PIL.Image.Image" for base in type(obj).__mro__)


@contextmanager
def _named(obj: Any, place: str, what: str) -> Iterator[None]:
    """Names the image in whatever goes wrong with it."""
    if not is_image(obj):
        raise TypeError(
            f"{what} takes images (of PIL, paths, bytes, arrays or tensors), got {type(obj).__name__}{place}. "
            "Pick the image out of your records in a subclass's get_collate_fn and cache_key"
        )
    try:
        yield
    except Exception as error:  # decoders raise anything; a warning may be an error, too
        path = f" {os.fspath(obj)!r}" if isinstance(obj, (str, os.PathLike)) else ""
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        elif type(error).__name__ == "UnidentifiedImageError":  # its own text shows how the file was opened
            reason = "it is in no format of images that Pillow knows"
        else:
            reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{what} cannot read the image{path}{place}: {reason}. Repair the image or leave it out"
        ) from error


def _file_hasher(content: bytes | bytearray | memoryview = b"") -> Any:
    return hashlib.blake2b(content, digest_size=16, person=b"image file")


def _read(obj: Any) -> Any:
    from PIL import Image

    if isinstance(obj, (np.ndarray, torch.Tensor)):
        obj = Image.fromarray(_pixels(obj))
    elif not _is_pil(obj):
        if isinstance(obj, (str, os.PathLike)):
            _check_file(obj)
        with Image.open(obj if isinstance(obj, (str, os.PathLike)) else BytesIO(obj)) as file:
            return _read(file)
    width, height = obj.size
    if not width or not height:
        raise ValueError("it has no pixels")
    if max(width, height) > _LONGEST * min(width, height):
        raise ValueError(f"it has {width} x {height} pixels, one side more than {_LONGEST} times the other")
    _load(obj)
    turn = _TURNS.get(_orientation(obj))
    return _in_colour(obj if turn is None else obj.transpose(Image.Transpose[turn]))


def _check_file(path: str | os.PathLike[str]) -> None:
    """Checks that a path is that of a file: a pipe or a device could be read without end."""
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError("it is a folder, a pipe or a device, expected a file")


def _load(picture: Any) -> None:
    """Reads the pixels of an image, unless that would be done by another program."""
    if picture.format == "EPS" and picture.tile:
        raise ValueError("it is PostScript, a program, which is not run. Convert it to PNG")
    picture.load()


def _orientation(picture: Any) -> int:
    """Reads how an image is to be turned; damaged EXIF data say nothing, and its pixels are as good as without."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  # whatever the parser raises
        return 1


def _in_colour(picture: Any) -> Any:
    """Converts an image of any mode to RGB."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits, in some formats as int32; PIL's own conversion cuts them off at 255
        values = _seen_through(np.asarray(picture), picture.info.get("transparency"))
        fits = values.min() >= 0 and values.max() <= 65535
        picture = Image.fromarray(_eight_bits(values.astype(np.uint16) if fits else values))
    elif picture.mode == "F":
        picture = Image.fromarray(_eight_bits(np.asarray(picture)))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    # The colour that a file stores under transparent pixels is arbitrary.
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _seen_through(values: Any, transparent: Any) -> Any:
    """Makes the one number white that a file of 16 bits may declare to be transparent."""
    return np.where(values == transparent, 65535, values) if isinstance(transparent, int) else values


def _pixels(obj: Any) -> Any:
    """Brings an array or tensor to 8 bits, with the channels at the end."""
    array, expected = obj, "[H, W] or [H, W, C]"
    if isinstance(obj, torch.Tensor):
        tensor = obj.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        array, expected = (np.moveaxis(array, 0, -1) if array.ndim == 3 else array), "[H, W] or [C, H, W]"
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"its shape is {list(obj.shape)}, expected {expected} with 1, 3 or 4 channels")
    pixels = _eight_bits(array.astype(array.dtype.newbyteorder("="), copy=False))
    return np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _eight_bits(array: Any) -> Any:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    if array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:  # false where there is a NaN
        return np.rint(array * 255).astype(np.uint8)
    if array.dtype == np.uint16:
        return ((array.astype(np.int32) + 128) // 257).astype(np.uint8)
    raise ValueError(
        f"its numbers are {array.dtype} from {array.min()} to {array.max()}, expected uint8, uint16, booleans, or "
        "floats from 0 to 1"
    )
