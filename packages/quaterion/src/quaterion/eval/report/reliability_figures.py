"""Confidence against accuracy: how far what a model says of its own sureness can be relied on."""

from typing import Any

import torch
from torch import Tensor

from quaterion.distances import Distance
from quaterion.eval.confidence import knn_confidence, reliability, softmax_confidence
from quaterion.eval.encoding import servable
from quaterion.eval.report.measuring import Measurement
from quaterion.eval.report.report_data import ReportData
from quaterion_models.heads import EncoderHead, SoftmaxEmbeddingsHead, SwitchHead

__all__ = ["reliability_figures"]

BINS = 10


def reliability_figures(
    data: ReportData,
    measured: dict[str, tuple[Any, Measurement]],
    *,
    distance: Distance | str = Distance.COSINE,
    k: int = 10,
) -> dict[str, Any] | None:
    """Bins of confidence with their accuracy, of each model and each kind of confidence that it has.

    Each object is given the group that most of its k nearest are of. Right or wrong, this is held against two
    confidences: the share of the neighbours that agree (`"neighbours"`), and of a model with a
    `SoftmaxEmbeddingsHead` the head's own (`"head"`), one minus its mean entropy. Objects that are alone in their
    group, which no neighbour could tell, are left out and counted.

    Args:
        data: The data.
        measured: The models by name, with what they do on the data.
        distance: How embeddings are compared.
        k: Number of neighbours; fewer where there are fewer objects.

    Returns:
        The bins, ready for JSON; None for pairs, of which nothing says what they would be taken for.
    """
    if data.kind == "pairs":
        return None
    k = min(k, len(data.samples) - 1)
    able = next(iter(measured.values()))[1].whole.num_relevant.cpu() > 0
    kinds: dict[str, dict[str, Any]] = {"neighbours": {}, "head": {}}
    for name, (model, one) in measured.items():
        embeddings = one.whole.candidates
        voted = knn_confidence(embeddings, data.group_ids, k, distance_metric_name=distance)
        right = (voted.groups == data.group_ids)[able]
        kinds["neighbours"][name] = _bins(voted.confidence[able], right)
        head = _softmax_head(getattr(servable(model), "head", None))
        if head is not None:
            kinds["head"][name] = _bins(softmax_confidence(embeddings, head)[able], right)
    return {
        "k": k,
        "objects": int(able.sum()),
        "left_out": int((~able).sum()),
        "edges": torch.linspace(0, 1, BINS + 1, dtype=torch.float64).tolist(),
        "kinds": {kind: models for kind, models in kinds.items() if models},
    }


def _bins(confidence: Tensor, right: Tensor) -> dict[str, Any]:
    found = reliability(confidence.clamp(0, 1), right, bins=BINS)
    return {
        "accuracy_of_all": float(right.double().mean()),
        "counts": found.counts.tolist(),
        "confidence": found.confidence.tolist(),
        "accuracy": found.accuracy.tolist(),
        "ece": found.ece,
    }


def _softmax_head(head: EncoderHead | None) -> SoftmaxEmbeddingsHead | None:
    """The head whose output says how sure it is; of a head with sides that of the queries, which objects are."""
    if isinstance(head, SwitchHead) and head.two_sided:
        head = head.options["query"]
    if isinstance(head, SoftmaxEmbeddingsHead) and head.output_size_per_group > 1:
        return head
    return None
