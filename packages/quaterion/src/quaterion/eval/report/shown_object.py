"""How objects of a data set are shown: as text of bounded length, and as a thumbnail where they are images."""

import base64
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ShownObject", "clip", "clip_all", "escaped_size", "show"]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ShownObject:
    """What stands for an object on a page.

    Args:
        text: Its text, or what it is.
        image: A thumbnail as a `data:` address; None for what is no image.
    """

    text: str
    image: str | None = None


def show(obj: Any, *, longest: int = 300, thumbnail: int = 64) -> ShownObject:
    """Describes an object.

    Args:
        obj: A text, an image of PIL, a `Path` (shown as an image where it is one), or anything with a `repr`.
        longest: Characters of the text that are shown.
        thumbnail: Larger side of a thumbnail in pixels.

    Returns:
        Text and thumbnail.

    Example:
        >>> show("where is my card").text
        'where is my card'
        >>> show("a" * 1000, longest=5).text
        'aaaaa… (1,000 characters)'
        >>> show(b"abc").text
        '3 bytes'
    """
    if isinstance(obj, str):
        return ShownObject(clip(obj, longest))
    if isinstance(obj, bytes | bytearray):
        return ShownObject(f"{len(obj):,} bytes")
    if isinstance(obj, Path):
        return ShownObject(clip(str(obj), longest), _file_thumbnail(obj, thumbnail))
    pil = sys.modules.get("PIL.Image")  # whoever has such an object has imported it
    if pil is not None and isinstance(obj, pil.Image):
        return ShownObject(f"image of {obj.width} \N{MULTIPLICATION SIGN} {obj.height}", _thumbnail(obj, thumbnail))
    try:
        shape = getattr(obj, "shape", None)
        if isinstance(shape, tuple) and hasattr(obj, "dtype"):
            return ShownObject(f"{type(obj).__name__} {list(shape)} of {obj.dtype}")
        return ShownObject(clip(repr(obj), longest))
    except Exception:  # noqa: BLE001 - whatever a user's class raises, the page can do without its text
        return ShownObject(f"a {type(obj).__name__}")


def clip(text: str, longest: int) -> str:
    """The first characters of a text, fit for a page, with its length where more follow.

    Args:
        text: Any text; what no page can hold (control characters, halves of surrogate pairs) becomes `�`.
        longest: Characters to keep.

    Example:
        >>> clip("abc", 2), clip("abc", 3)
        ('ab… (3 characters)', 'abc')
    """
    kept = _UNREADABLE.sub("\ufffd", text[:longest])
    return kept if len(text) <= longest else f"{kept}… ({len(text):,} characters)"


def clip_all(texts: Sequence[str], *, longest: int, budget: int) -> list[str]:
    """Clips many texts so that all together are no larger than a budget, or each is down to eight characters.

    Args:
        texts: The texts.
        longest: Characters to keep of each at most.
        budget: Bytes that they may take in the page's data.

    Returns:
        The clipped texts.

    Example:
        >>> clip_all(["a" * 100, "b"], longest=80, budget=60)
        ['aaaaaaaaaaaaaaaaaaaa… (100 characters)', 'b']
    """
    while True:
        clipped = [clip(text, longest) for text in texts]
        if longest <= 8 or sum(map(escaped_size, clipped)) <= budget:
            return clipped
        longest = max(8, longest // 2)


def escaped_size(text: str) -> int:
    """Bytes that a text takes in the page's data, where `<`, `>` and `&` are escaped."""
    plain = len(json.dumps(text, ensure_ascii=False).encode())
    return plain + 5 * sum(map(text.count, "<>&"))


def _file_thumbnail(path: Path, size: int) -> str | None:
    if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
        return None
    try:
        from PIL import Image

        with Image.open(path) as image:
            return _thumbnail(image, size)
    except (ImportError, OSError, ValueError):  # a page without a thumbnail is better than no page
        return None


def _thumbnail(image: Any, size: int) -> str:
    from PIL import features

    small = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    small.thumbnail((size, size))
    kind = "webp" if features.check("webp") else "png"
    file = io.BytesIO()
    small.save(file, format=kind, **({"quality": 60} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
