"""From a list of objects to a model's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quaterion_models.types import CollateFnType, MetaExtractorFnType


class ModelCollate:
    """Runs every encoder's collate function and meta extractor over the same objects.

    Picklable where the encoders' functions are, so that DataLoader workers can run it.

    Args:
        collates: Encoder name to its collate function.
        extractors: Encoder name to its meta extractor.
    """

    def __init__(self, collates: Mapping[str, CollateFnType], extractors: Mapping[str, MetaExtractorFnType]) -> None:
        self.collates = dict(collates)
        self.extractors = dict(extractors)

    def __call__(self, objects: Sequence[Any], sides: Sequence[str] | None = None) -> dict[str, Any]:
        """Collates objects.

        Args:
            objects: B objects.
            sides: `"query"` or `"document"` for each, for models with two sides.

        Returns:
            `{"data": {encoder name: its input}, "meta": [dict, ...]}` with B dicts. Where sides are given, they stand
            under `"encoder"`, unless the encoder's own `extract_meta` put something there.

        Raises:
            ValueError: If the numbers of objects, sides and dicts differ, or two encoders disagree about a value.
        """
        objects = list(objects)
        return {
            "data": {name: collate(objects) for name, collate in self.collates.items()},
            "meta": self.meta(objects, sides),
        }

    def meta(self, objects: Sequence[Any], sides: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Extracts only the side information.

        Args:
            objects: B objects.
            sides: As for the call.

        Returns:
            B dicts.

        Raises:
            ValueError: As for the call.
        """
        objects = list(objects)
        metas: list[dict[str, Any]] = []
        for name, extract in self.extractors.items():
            own = list(extract(objects))
            if len(own) != len(objects):
                raise ValueError(
                    f"extract_meta of encoder {name!r} gave {len(own)} dicts for {len(objects)} objects, expected "
                    "one each"
                )
            metas = [_merged(old, new, name) for old, new in zip(metas, own, strict=True)] if metas else own
        if sides is None:
            return metas
        if len(sides) != len(objects):
            raise ValueError(f"got {len(sides)} sides for {len(objects)} objects, expected one each")
        return [
            meta if "encoder" in meta else {**meta, "encoder": side} for meta, side in zip(metas, sides, strict=True)
        ]


def _merged(old: dict[str, Any], new: dict[str, Any], name: str) -> dict[str, Any]:
    if not new:
        return old
    for key, value in new.items():
        if key in old and old[key] is not value and old[key] != value:
            raise ValueError(
                f"the encoders disagree about meta[{key!r}] of one object: {old[key]!r}, and {value!r} by encoder "
                f"{name!r}. Override extract_meta of one of them to use another key"
            )
    return {**old, **new}
