"""Objects that an exported model is compared on with the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.export.graphs import GraphPlan
from quaterion_models.export.inputs import EncoderInput
from quaterion_models.model import SimilarityModel

LONGEST = 1024
"""Tokens of the longest text that is compared; what a model takes beyond is computed likewise."""

TEXTS = (
    "a",
    "Where is my new card?",
    "Attention is not explanation",
    "A cat sleeps on the warm roof of a small red car, and nobody dares to wake it before noon.",
    "¿Cuánto tarda una transferencia al extranjero?",
    "Der Zug nach Köln fährt heute von Gleis sieben ab.",
    "今天的天气很好,我们去公园吧。",
    "def add(a, b):\n    return a + b  # 1 + 2 = 3",
    "HELLO!!! 😀 100 % §$&",
    "The quarterly report shows that revenue grew by eleven percent while costs stayed where they had been, "
    "which surprised the analysts, who had expected the new factory to weigh on the margin for at least two years.",
)
_SENTENCE = TEXTS[3]
_PIXELS = ((240, 320), (321, 200), (64, 64), (37, 500), (512, 384))  # heights and widths


def objects_for(model: SimilarityModel, plans: Sequence[GraphPlan], given: Sequence[Any]) -> list[Any]:
    """Makes the objects that a model and its exported form are compared on.

    Args:
        model: The model.
        plans: Its graphs.
        given: Objects of the caller's.

    Returns:
        Objects of all graphs: texts from none to the most tokens that the model takes, images of several sizes, random
        vectors, and those that are given.

    Raises:
        ValueError: If there are none for a graph, or the model's own choice of an encoder is not by the kind of an
            object.
    """
    switch = next(iter(model.encoders.values()))
    if not isinstance(switch, SwitchEncoder) or len(model.encoders) > 1:
        return _objects_to_check(plans[0], given)
    objects = []
    for plan in plans:
        own = [obj for obj in given if switch.encoder_selection(obj) == plan.name]
        for obj in _objects_to_check(plan, own):
            if switch.encoder_selection(obj) != plan.name:
                raise ValueError(
                    f"{type(switch).__name__} sends {type(obj).__name__} to {switch.encoder_selection(obj)!r}, and an "
                    f"exported model would send it to {plan.name!r}: it sends text to the option of texts, arrays and "
                    "files to that of images, lists of numbers to that of vectors"
                )
            objects.append(obj)
    return objects


def _objects_to_check(plan: GraphPlan, given: Sequence[Any]) -> list[Any]:
    """The given objects, and those that can be made up for a graph."""
    made = [_objects_for(one) for one in plan.inputs.values()]
    fields = [one.field for one in plan.inputs.values()]
    if all(field is None for field in fields) and len({one.kind for one in plan.inputs.values()}) == 1:
        own = made[0]
    else:
        own = [_record(fields, values) for values in zip(*_same_number(made), strict=True)]
        own = [one for one in own if one is not None]
    objects = [*given, *own]
    if not objects:
        raise ValueError(
            f"objects of the graph {plan.name!r} cannot be made up, and an exported model is compared with the model "
            "before it is written: pass check_objects, some objects of your data"
        )
    return objects


def _objects_for(described: EncoderInput) -> list[Any]:
    random = np.random.default_rng(0)
    if described.kind == "text":
        # About one token a word. Twice the limit: cut by every tokenizer.
        most = min(described.described["max_length"], LONGEST)
        words = (_SENTENCE + " ") * (2 * most // len(_SENTENCE.split()) + 1)
        return ["", *TEXTS, " ".join(words.split()[: most // 2]), words]
    if described.kind == "pixels":
        # Coarse patches, as in photographs: noise would differ by the rounding of every resizing.
        pictures = []
        for height, width in _PIXELS:
            coarse = random.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
            pictures.append(np.repeat(np.repeat(coarse, 16, axis=0), 16, axis=1)[:height, :width])
        return pictures
    if described.kind == "vector" and described.as_given is None:
        return list(random.standard_normal((8, described.described["size"])).astype(np.float32))
    return []


def _record(fields: Sequence[str | int | None], values: Sequence[Any]) -> dict[Any, Any] | tuple[Any, ...] | None:
    """A record with these fields; None where no kind of record has them."""
    of_fields = dict(zip(fields, values, strict=True))
    if all(isinstance(field, str) for field in fields):
        return of_fields
    if all(isinstance(field, int) and field >= 0 for field in fields):
        return tuple(of_fields.get(place) for place in range(max(map(int, of_fields)) + 1))  # type: ignore[arg-type]
    return None


def _same_number(lists: list[list[Any]]) -> list[list[Any]]:
    """Repeats the shorter lists; nothing where one is empty."""
    if not all(lists):
        return [[] for _ in lists]
    most = max(map(len, lists))
    return [[one[place % len(one)] for place in range(most)] for one in lists]
