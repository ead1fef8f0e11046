"""The README of an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quaterion_models.export.graphs import GraphPlan
from quaterion_models.saving.card_text import code_text, table

if TYPE_CHECKING:
    from quaterion_models.export.onnx_folder import ExportReport
    from quaterion_models.model import SimilarityModel

_TAKES = {
    "text": "text",
    "pixels": "an image",
    "vector": "a vector",
    "array": "an array, as its collate function gives",
}
_MIB = 2**20


def runtime_readme(model: SimilarityModel, plans: Sequence[GraphPlan], report: ExportReport) -> str:
    """Writes what an exported model is, how it is used, and what was found when it was compared.

    Args:
        model: The model.
        plans: Its graphs.
        report: What was found.

    Returns:
        Markdown.
    """
    rows = []
    for plan in plans:
        for key, one in plan.inputs.items():
            field = "" if one.field is None else f", of the field {code_text(one.field)}"
            rows.append([code_text(plan.name), code_text(key), _TAKES[one.kind] + field])
    encode = "encode_query(objects), model.encode_document" if model.two_sided else "encode"
    quality = []
    if report.quality is not None:
        before, after = report.quality
        quality = [f"- Measured on data: {before:.4f} of the model, {after:.4f} of the exported one."]
    head = type(model.head).__name__
    return "\n".join(
        [
            "# Exported similarity model",
            "",
            "A model of Quaterion, for programs without torch. It needs numpy, onnxruntime and tokenizers:",
            "",
            "```bash",
            "pip install quaterion-runtime",
            "```",
            "",
            "```python",
            "from quaterion_runtime import Model",
            "",
            'model = Model.load("this-folder")',
            f"vectors = model.{encode}(objects)",
            "```",
            "",
            table(["graph", "encoder", "takes"], rows),
            "",
            f"- Embeddings of {report.embedding_size} numbers, through a {code_text(head)}; weights in "
            f"{report.precision}, {report.size / _MIB:.1f} MiB in all.",
            f"- Compared with the model on {report.objects} objects, alone and in batches: 1 - cosine is "
            f"{report.largest_difference:.1e} at the most, {report.mean_difference:.1e} on average.",
            *quality,
            "",
        ]
    )
