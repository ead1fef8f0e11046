"""The folder that a model is exported into: graphs of ONNX, and all that a program without torch needs beside them.

folder/
    runtime.json         which graphs there are, what they take, and how objects are prepared for them
    <graph>.onnx         from tokens, pixels or numbers to embeddings; complete in one file
    tokenizer-<n>.json   tokenizers, one for each that differs
    README.md            what it is, and how closely it was found to agree with the model
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from quaterion_models.export.check_objects import objects_for
from quaterion_models.export.comparison import ExportedModel, compare, float32_copy, have_length_1, vectors_of
from quaterion_models.export.fusion import join_products
from quaterion_models.export.graphs import GraphPlan, plan_graphs, trace
from quaterion_models.export.readme import runtime_readme
from quaterion_models.export.weights import halve_weights, quantize_weights
from quaterion_models.extras import require
from quaterion_models.heads.switch_head import DOCUMENT, QUERY
from quaterion_models.saving.files import ModelFolderError, read_json, write_json
from quaterion_models.saving.new_folder import new_folder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

Precision = Literal["float32", "float16", "int8"]

CONFIG, CARD = "runtime.json", "README.md"
KIND, FORMAT_VERSION = "quaterion-runtime", 1
_MOST_DIFFERENT = {"float32": 1e-4, "float16": 1e-4, "int8": 0.1}  # 1 - cosine


@dataclass(frozen=True)
class ExportReport:
    """What was exported, and how closely it agrees with the model.

    Attributes:
        folder: Where it lies.
        precision: Of its weights.
        embedding_size: Length of the embeddings.
        objects: How many objects were compared, each alone and in batches of different lengths.
        largest_difference: Largest 1 − cosine between the model's vector of an object and the exported model's.
        mean_difference: Mean of that.
        quality: What the function `quality` gave for the model and for the exported model; None without one.
        size: Bytes of all files.
    """

    folder: Path
    precision: Precision
    embedding_size: int
    objects: int
    largest_difference: float
    mean_difference: float
    quality: tuple[float, float] | None
    size: int


def export_onnx(
    model: SimilarityModel,
    folder: str | os.PathLike[str],
    *,
    precision: Precision = "float32",
    dimensions: int | None = None,
    normalize: bool = False,
    check_objects: Sequence[Any] = (),
    quality: Callable[[Any], float] | None = None,
) -> ExportReport:
    """Exports a model for programs without torch: graphs of ONNX with tokenizers and a description.

    `quaterion_runtime.Model.load(folder)` runs it. A graph goes from tokens, pixels or vectors to the embedding, with
    pooling and head, several encoders joined, and both sides of a two-sided model; batch and length may be any. The
    model is not changed.

    Before anything is written to its place, the exported model is run and compared with the model itself, on an
    empty text and others up to the most tokens that it takes (1,024 at the most), on images of several sizes, on random
    vectors and on `check_objects`: each object alone, and all of them in batches with padding. The cosine may differ
    from 1 by 1e-4.

    Needs the extra `onnx`.

    Args:
        model: The model, trained or not, on any device and in any precision; it is exported in float32.
        folder: Where to. An older exported model there is replaced in one step.
        precision: `"float32"`; `"float16"` for weights in half of the bytes, computed with in float32; `"int8"` for
            products of 8-bit integers, faster and in a quarter of the bytes, whose embeddings differ a little.
        dimensions: First components to keep, of a model trained for that (Matryoshka); embeddings are scaled to length
            1 then. The exported model gives these alone. Exported with all of them, it can be asked for any number:
            no model records which ones it was trained for, so the folder lists none.
        normalize: Whether to scale embeddings to length 1.
        check_objects: Objects to compare on, in addition. An encoder of your own needs some.
        quality: Measures a model, such as recall on your data: it gets something with `encode_query` and
            `encode_document` and returns a number. It is called with the model and with the exported one.

    Returns:
        What was written, and how closely it agrees.

    Raises:
        ValueError: If a part cannot be exported (the message names the operator, where it is one), the exported model
            does not agree with the model, or an argument is out of range. Nothing is written then.
        ModelFolderError: If the folder holds something else.
        ImportError: If the extra is not installed.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {list(get_args(Precision))}, got {precision!r}")
    if dimensions is not None and not 1 <= dimensions <= model.output_size:
        raise ValueError(f"dimensions must lie in 1..{model.output_size}, got {dimensions}")
    runtime, onnx = require("quaterion_runtime", extra="onnx"), require("onnx", extra="onnx")
    given = list(check_objects)
    normalize = normalize or dimensions is not None
    whole = float32_copy(model)
    plans = plan_graphs(whole, given)
    target = Path(folder)
    with new_folder(target, is_ours=is_exported_folder, ours=_our_names(target)) as fresh:
        objects = objects_for(whole, plans, given)
        expected = vectors_of(whole, objects, normalize=normalize, dimensions=dimensions)
        size = model.output_size if dimensions is None else dimensions
        names = ["model.onnx"] if len(plans) == 1 else [f"model-{number}.onnx" for number in range(len(plans))]
        for plan, name in zip(plans, names, strict=True):
            onnx.save(_graph(plan, precision, normalize, dimensions), str(fresh / name))
        write_json(
            fresh / CONFIG,
            {
                "format_version": FORMAT_VERSION,
                "kind": KIND,
                "embedding_size": size,
                "dimensions": None,
                "normalized": normalize or have_length_1(expected),
                "similarity": "cosine",
                "precision": precision,
                "sides": [QUERY, DOCUMENT] if model.two_sided else None,
                "graphs": [_graph_entry(plan, fresh / name) for plan, name in zip(plans, names, strict=True)],
            },
        )
        exported = ExportedModel(runtime.Model.load(fresh), whole, plans)
        differences = compare(exported, objects, expected, _MOST_DIFFERENT[precision])
        qualities = None if quality is None else (quality(whole), quality(exported))
        del exported
        report = ExportReport(
            folder=target,
            precision=precision,
            embedding_size=size,
            objects=len(objects),
            largest_difference=float(differences.max()),
            mean_difference=float(differences.mean()),
            quality=qualities,
            size=sum(file.stat().st_size for file in fresh.iterdir()),
        )
        (fresh / CARD).write_text(runtime_readme(model, plans, report), encoding="utf-8")
    return report


def is_exported_folder(path: Path) -> bool:
    """Tells whether a folder holds an exported model."""
    try:
        return read_json(path / CONFIG).get("kind") == KIND
    except ModelFolderError:
        return False


def _graph(plan: GraphPlan, precision: Precision, normalize: bool, dimensions: int | None) -> Any:
    graph = trace(plan, normalize=normalize, dimensions=dimensions)
    if precision == "int8":
        join_products(graph)  # what they share is brought to integers once
        quantize_weights(graph)
    elif precision == "float16":
        halve_weights(graph)
    return graph


def _graph_entry(plan: GraphPlan, file: Path) -> dict[str, Any]:
    inputs = []
    for key, one in plan.inputs.items():
        entry = {"encoder": key, "field": one.field, "kind": one.kind, **one.described}
        if one.tokenizer is not None:
            entry["tokenizer"] = _tokenizer_file(file.parent, one.tokenizer)
        inputs.append({**entry, "tensors": plan.tensor_names(key)})
    with file.open("rb") as stream:
        digest = blake2b(digest_size=16)
        while block := stream.read(2**22):
            digest.update(block)
    return {
        "name": plan.name,
        "file": file.name,
        "digest": digest.hexdigest(),
        "accepts": plan.accepts,
        "inputs": inputs,
        "outputs": plan.outputs,
    }


def _tokenizer_file(folder: Path, content: str) -> str:
    """Writes a tokenizer where no file holds the same."""
    number = 0
    while (file := folder / f"tokenizer-{number}.json").exists():
        if file.read_text(encoding="utf-8") == content:
            return file.name
        number += 1
    file.write_text(content, encoding="utf-8")
    return file.name


def _our_names(folder: Path) -> set[str]:
    if not folder.is_dir():
        return {CONFIG, CARD}
    patterns = (CONFIG, CARD, "model.onnx", "model-*.onnx", "tokenizer-*.json")
    return {entry.name for pattern in patterns for entry in folder.glob(pattern)}
