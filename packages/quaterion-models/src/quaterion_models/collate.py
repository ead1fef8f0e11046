"""From a list of objects to a model's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quaterion_models.heads.switch_head import QUERY
from quaterion_models.types import CollateFnType, MetaExtractorFnType, SideFnType


class ModelCollate:
    """Runs every encoder's collate function and meta extractor over the same objects.

    Picklable where the encoders' functions are, so that DataLoader workers can run it.

    Args:
        collates: Encoder name to its collate function.
        extractors: Encoder name to its meta extractor.
        side_fns: Encoder name to what prepares objects for their side, of the encoders that have such a function.
        sides_in_meta: Whether the side information tells the sides, which heads for each side need.
    """

    def __init__(
        self,
        collates: Mapping[str, CollateFnType],
        extractors: Mapping[str, MetaExtractorFnType],
        side_fns: Mapping[str, SideFnType] | None = None,
        *,
        sides_in_meta: bool = True,
    ) -> None:
        self.collates = dict(collates)
        self.extractors = dict(extractors)
        self.side_fns = dict(side_fns or {})
        self.sides_in_meta = sides_in_meta

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
            "data": {
                name: collate(prepared(objects, sides, self.side_fns.get(name)))
                for name, collate in self.collates.items()
            },
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
        if sides is None or not self.sides_in_meta:
            return metas
        _check_sides(objects, sides)
        return [
            meta if "encoder" in meta else {**meta, "encoder": side} for meta, side in zip(metas, sides, strict=True)
        ]


def prepared(objects: Sequence[Any], sides: Sequence[str] | None, side_fn: SideFnType | None) -> list[Any]:
    """Prepares objects for their sides.

    Args:
        objects: B objects.
        sides: `"query"` or `"document"` for each; None for queries.
        side_fn: What an encoder's `get_side_fn` returned.

    Returns:
        B objects, the same ones where there is no such function.

    Raises:
        ValueError: If the numbers of objects and sides differ.

    Example:
        >>> prepared(["a", "b"], ["query", "document"], lambda obj, side: f"{side}: {obj}")
        ['query: a', 'document: b']
    """
    if side_fn is None:
        return list(objects)
    if sides is None:
        return [side_fn(obj, QUERY) for obj in objects]
    _check_sides(objects, sides)
    return [side_fn(obj, side) for obj, side in zip(objects, sides, strict=True)]


def _check_sides(objects: Sequence[Any], sides: Sequence[str]) -> None:
    if len(sides) != len(objects):
        raise ValueError(f"got {len(sides)} sides for {len(objects)} objects, expected one each")


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
