"""What a program without transformers needs to know to prepare images as an image processor does."""

from __future__ import annotations

from typing import Any

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by their numbers in Pillow
_KNOWN = {"height", "width"}, {"shortest_edge"}
_SQUEEZED = 384  # pixels from which ConvNeXt's processors cut nothing out
# Steps that are not described; each is off, or the processor cannot be exported.
_OTHERS = ("do_pad", "do_reduce_labels", "do_flip_channel_order", "do_thumbnail", "do_align_long_axis")


def describe_processor(processor: Any, where: str) -> dict[str, Any]:
    """Describes an image processor of transformers.

    Args:
        processor: The processor.
        where: Its folder, for messages.

    Returns:
        The entries of `runtime.json`.

    Raises:
        ValueError: If it does more than to resize, to cut out the middle, to scale and to shift the values.
    """
    more = [name for name in _OTHERS if getattr(processor, name, None)]
    size = {name: value for name, value in dict(processor.size or {}).items() if value is not None}
    if more or (processor.do_resize and set(size) not in _KNOWN):
        what = f"its settings {more}" if more else f"its size {size}"
        raise ValueError(
            f"the image processor of {where} does what an exported model cannot ({what}): it resizes, cuts out the "
            "middle, scales and shifts only"
        )
    crop = dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", None) else None
    share = getattr(processor, "crop_pct", None)
    if share and processor.do_resize:  # ConvNeXt: resized to more than it needs, and the middle cut out
        side = int(size["shortest_edge"])
        if side >= _SQUEEZED:
            size = {"height": side, "width": side}
        else:
            size, crop = {"shortest_edge": int(side / share)}, {"height": side, "width": side}
    resample = getattr(processor, "resample", None)
    return {
        "resize": {name: int(value) for name, value in size.items()} if processor.do_resize else None,
        "crop": None if crop is None else {name: int(crop[name]) for name in ("height", "width")},
        "resample": _FILTERS[3 if resample is None else int(resample)],
        "rescale": float(processor.rescale_factor) if processor.do_rescale else 1.0,
        "mean": [float(value) for value in processor.image_mean] if processor.do_normalize else [0.0, 0.0, 0.0],
        "std": [float(value) for value in processor.image_std] if processor.do_normalize else [1.0, 1.0, 1.0],
    }
