"""An exported model beside the model it was made of: whether both give the same vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quaterion_models.encoders.field_encoder import pick
from quaterion_models.encoders.pretrained_encoder import PretrainedEncoder
from quaterion_models.encoders.switch_encoder import SwitchEncoder
from quaterion_models.export.graphs import GraphPlan
from quaterion_models.export.inputs import EncoderInput
from quaterion_models.heads.switch_head import DOCUMENT, QUERY
from quaterion_models.model import SimilarityModel

_BATCH = 8
_BATCHES = (1, _BATCH)


class ExportedModel:
    """An exported model that is given the objects of the model it was made of.

    Args:
        runtime: The exported model.
        model: The model.
        plans: Its graphs.
    """

    def __init__(self, runtime: Any, model: SimilarityModel, plans: Sequence[GraphPlan]) -> None:
        self._runtime, self._plans = runtime, plans
        self._switch = next(iter(model.encoders.values())) if len(plans) > 1 else None

    def encode_query(self, inputs: Sequence[Any], batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Computes embeddings of queries, as `SimilarityModel.encode_query` does."""
        return self._encode(inputs, batch_size, to_numpy, QUERY)

    def encode_document(self, inputs: Sequence[Any], batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Computes embeddings of documents, as `SimilarityModel.encode_document` does."""
        return self._encode(inputs, batch_size, to_numpy, DOCUMENT)

    def encode(self, inputs: Sequence[Any], batch_size: int, side: str) -> NDArray[np.float32]:
        """Computes embeddings.

        Args:
            inputs: n objects of the model.
            batch_size: Objects in a batch.
            side: `"query"` or `"document"`.

        Returns:
            `[n, D]`.

        Raises:
            ValueError: If the exported model cannot read an object.
        """
        encode = self._runtime.encode_query if side == QUERY else self._runtime.encode_document
        try:
            vectors: NDArray[np.float32] = encode([self._given(obj) for obj in inputs], batch_size)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"an exported model cannot prepare {inputs[0]!r:.60} as the model's collate functions do: {error}"
            ) from error
        return vectors

    def _encode(self, inputs: Sequence[Any], batch_size: int, to_numpy: bool, side: str) -> Any:
        vectors = self.encode(inputs, batch_size, side)
        return vectors if to_numpy else torch.from_numpy(vectors)

    def _given(self, obj: Any) -> Any:
        """What the exported model is given for an object: itself, but for what only this program can prepare."""
        plan = self._plans[0]
        if isinstance(self._switch, SwitchEncoder):
            name = self._switch.encoder_selection(obj)
            plan = next(one for one in self._plans if one.name == name)
        inputs = list(plan.inputs.values())
        if all(one.as_given is None for one in inputs):
            return obj
        if len(inputs) == 1 and inputs[0].field is None:
            return _prepared(inputs[0], obj)
        if any(one.field is None for one in inputs):
            return obj  # several encoders of one object, which only one preparation could serve
        values = {one.field: _prepared(one, pick(obj, one.field)) for one in inputs if one.field is not None}
        if all(isinstance(field, int) for field in values):
            return [values.get(place) for place in range(max(map(int, values)) + 1)]
        return values


def _prepared(described: EncoderInput, obj: Any) -> Any:
    return obj if described.as_given is None else described.as_given(obj)


def float32_copy(model: SimilarityModel) -> SimilarityModel:
    """Copies a model to the CPU, in float32 and in eval mode, with adapters merged into the weights.

    Args:
        model: The model, which stays as it is.

    Returns:
        The copy; weights that are read from files are read in float32.
    """
    whole = copy.deepcopy(model)
    for part in whole.modules():
        if isinstance(part, PretrainedEncoder):
            part.settings = {**part.settings, "dtype": None}
    whole = whole.to("cpu", torch.float32).eval()
    for part in whole.modules():
        if isinstance(part, PretrainedEncoder):
            part.merge_adapters()
    return whole


def _sides(model: Any) -> list[str]:
    return [QUERY, DOCUMENT] if model.two_sided else [QUERY]


def vectors_of(
    model: SimilarityModel, objects: Sequence[Any], *, normalize: bool, dimensions: int | None
) -> dict[str, NDArray[np.float32]]:
    """Computes the embeddings that an exported model should give.

    Args:
        model: The model.
        objects: n objects.
        normalize: Whether to scale them to length 1.
        dimensions: Components to keep; None for all.

    Returns:
        Side to `[n, D]`; `"query"` alone of a model without sides.

    Raises:
        ValueError: If they are not finite.
    """
    found = {}
    for side in _sides(model):
        encode = model.encode_query if side == QUERY else model.encode_document
        vectors = np.asarray(encode(list(objects), _BATCH), dtype=np.float32)[:, :dimensions]
        if not np.isfinite(vectors).all():
            raise ValueError("the model gives embeddings that are not finite, so it is not exported. Train it again")
        found[side] = vectors / np.maximum(_lengths(vectors), 1e-12) if normalize else vectors
    return found


def compare(
    exported: ExportedModel, objects: Sequence[Any], expected: Mapping[str, NDArray[np.float32]], most: float
) -> NDArray[np.float64]:
    """Compares what an exported model gives with the model's own vectors, one by one and in batches.

    Args:
        exported: The exported model.
        objects: n objects.
        expected: What `vectors_of` returned for them.
        most: Largest 1 - cosine that is taken for equal.

    Returns:
        1 − cosine of every object, side and way to batch them; a difference in length counts too.

    Raises:
        ValueError: If one is above `most`; the message names the object.
    """
    differences = []
    for side, vectors in expected.items():
        for batch_size in _BATCHES:
            # Batch by batch in the order of the objects, so that short and long ones meet and are padded.
            parts = [
                exported.encode(objects[start : start + batch_size], batch_size, side)
                for start in range(0, len(objects), batch_size)
            ]
            found = np.concatenate(parts)
            wrong = _differences(vectors, found)
            worst = int(np.nanargmax(np.where(np.isnan(wrong), np.inf, wrong)))
            if not wrong[worst] <= most:
                raise ValueError(
                    f"the exported model does not agree with the model: for {objects[worst]!r:.60}, as a {side} in "
                    f"batches of {batch_size}, 1 - cosine is {wrong[worst]:.2g}, more than {most:g}. Nothing was "
                    "written. Something in it depends on other objects of the batch, on chance or on the size of the "
                    "example that it was traced with"
                )
            differences.append(wrong)
    return np.concatenate(differences)


def _differences(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Half of the squared distance over the lengths of both: 1 − cosine, where the lengths are equal."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = (_lengths(left) * _lengths(right))[:, 0]
    distance = ((left - right) ** 2).sum(axis=1) / 2
    relative: NDArray[np.float64] = distance / np.maximum(lengths, np.finfo(np.float32).tiny)
    return relative


def _lengths(vectors: NDArray[Any]) -> NDArray[Any]:
    lengths: NDArray[Any] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return lengths


def have_length_1(vectors: Mapping[str, NDArray[np.float32]]) -> bool:
    """Tells whether all vectors have length 1.

    Args:
        vectors: What `vectors_of` returned.
    """
    return all(bool(np.allclose(_lengths(one), 1, atol=1e-4)) for one in vectors.values())
