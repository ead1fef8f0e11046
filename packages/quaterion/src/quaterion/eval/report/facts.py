"""What a reader has to know of a model and of the software that measured it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from quaterion.eval.encoding import servable
from quaterion_models import SimilarityModel

__all__ = ["model_facts", "software_facts"]


def model_facts(model: Any) -> dict[str, Any]:
    """Parts and sizes of a model, ready for JSON.

    Args:
        model: A `SimilarityModel`, a `TrainableModel`, or another object that encodes queries and documents.

    Example:
        >>> from quaterion_models.encoders import Encoder
        >>> from quaterion_models.heads import GatedHead
        >>> class Nothing(Encoder):
        ...     trainable, embedding_size = False, 4
        ...     def get_collate_fn(self): ...
        ...     def forward(self, batch): ...
        >>> model_facts(SimilarityModel(Nothing(), GatedHead(4)))["head"]
        'GatedHead, 4 parameters'
    """
    model = servable(model)
    if not isinstance(model, SimilarityModel):
        return {"class": type(model).__name__}
    facts: dict[str, Any] = {
        f"encoder {key!r}": f"{type(encoder).__name__}, {encoder.embedding_size} dimensions, "
        + ("trainable" if encoder.trainable else "frozen")
        for key, encoder in model.encoders.items()
    }
    if model.head is not None:
        parameters = sum(one.numel() for one in model.head.parameters())
        facts["head"] = f"{type(model.head).__name__}, {parameters:,} parameters"
        facts["embedding size"] = model.output_size
    facts["parameters"] = sum(one.numel() for one in model.parameters())
    if model.two_sided:
        facts["sides"] = "queries and documents have heads of their own"
    return facts


def software_facts() -> dict[str, str]:
    """Versions of what computed the report."""
    found = {"Python": platform.python_version()}
    for name in ("quaterion", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            continue
    return found
