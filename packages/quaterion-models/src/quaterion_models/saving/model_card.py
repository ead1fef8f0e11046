"""The model card (README.md): what a model folder says about itself, to people and to the Hugging Face hub."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quaterion_models.saving.card_text import code_text, front_matter, plain_text, table

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

LOAD = 'SimilarityModel.load("path/to/this/folder")'
_TEXT_ENCODERS = {"SentenceTransformerEncoder", "TransformersEncoder"}


@dataclass(frozen=True, kw_only=True)
class CardData:
    """A data set that a model was trained or measured on.

    Args:
        name: What it is called.
        use: What it was used for, such as `"training"`.
        size: Number of its samples, None where that is not known.
        form: What a sample is, such as `"pairs"`.
    """

    name: str
    use: str = "training"
    size: int | None = None
    form: str = ""


@dataclass(frozen=True, kw_only=True)
class CardMetric:
    """A measured value.

    Args:
        name: Name of the metric.
        value: Its value for this model.
        interval: Ends of the interval that the value lies in.
        before: Its value before training.
        before_interval: Ends of the interval of that.
        data: Name of the data set.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    before: float | None = None
    before_interval: tuple[float, float] | None = None
    data: str = "evaluation data"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model beside its parts; all of it may be left out.

    Args:
        title: The heading.
        description: What the model is for, in Markdown.
        license: Identifier of the licence, such as `"apache-2.0"`.
        language: Code of the language, such as `"en"`, or several.
        tags: Further tags.
        datasets: Names of data sets on the hub.
        base_model: Names on the hub of the models that the encoders come from; by default those that were loaded from
            the hub's cache.
        pipeline_tag: The hub's name of the task; by default `"sentence-similarity"` where all encoders take text.
        data: Data sets.
        loss: Name of the loss.
        loss_parameters: Its hyper-parameters.
        training: Facts about the training, such as `{"epochs": 3}`.
        metrics: Measured values.
        metrics_note: Over what they are and what the intervals mean.

    Example:
        >>> card = ModelCard(title="Support", metrics=[CardMetric(name="recall@1", value=0.9, before=0.8)])
        >>> card.metrics[0].before
        0.8
    """

    title: str = "Similarity model"
    description: str = ""
    license: str | None = None
    language: str | Sequence[str] = ()
    tags: str | Sequence[str] = ()
    datasets: str | Sequence[str] = ()
    base_model: str | Sequence[str] = ()
    pipeline_tag: str | None = None
    data: Sequence[CardData] = ()
    loss: str = ""
    loss_parameters: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[CardMetric] = ()
    metrics_note: str = ""


def model_card(model: SimilarityModel, card: ModelCard | None = None, *, repo_id: str | None = None) -> str:
    """Writes the text of a model card.

    Args:
        model: The model.
        card: What is known of it.
        repo_id: Its name on the hub, where it goes there.

    Returns:
        Markdown with the hub's metadata in front. No text in the facts can break its form.
    """
    card = card or ModelCard()
    parts = [
        front_matter(_metadata(model, card)),
        f"# {plain_text(card.title)}",
        card.description.strip(),
        _parts(model),
        _data(card),
        _training(card),
        _metrics(card),
        _use(model, repo_id),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(model: SimilarityModel, card: ModelCard) -> dict[str, Any]:
    texts = all(type(encoder).__name__ in _TEXT_ENCODERS for encoder in model.encoders.values())
    task = card.pipeline_tag or ("sentence-similarity" if texts else None)
    metadata: dict[str, Any] = {
        "library_name": "quaterion-models",
        "license": card.license,
        "language": _listed(card.language),
        "pipeline_tag": task,
        "base_model": _listed(card.base_model) or _base_models(model),
        "datasets": _listed(card.datasets),
        "tags": list(dict.fromkeys(["similarity", "quaterion", *_listed(card.tags)])),
    }
    results = _results(card, task or "feature-extraction")
    if results:
        metadata["model-index"] = [{"name": plain_text(card.title, escape=False), "results": results}]
    return {name: value for name, value in metadata.items() if value}


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _results(card: ModelCard, task: str) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for metric in card.metrics:
        if math.isfinite(metric.value):
            one = {"type": metric.name, "name": metric.name, "value": float(metric.value)}
            found.setdefault(metric.data, []).append(one)
    return [
        {"task": {"type": task}, "dataset": {"type": data, "name": data}, "metrics": metrics}
        for data, metrics in found.items()
    ]


def _base_models(model: SimilarityModel) -> list[str]:
    """Reads names on the hub out of the places in its cache that encoders were loaded from."""
    places = [Path(folder).parts for e in model.encoders.values() if (folder := getattr(e, "folder", None)) is not None]
    names = [
        part.removeprefix("models--").replace("--", "/")
        for parts in places
        for part in parts
        if part.startswith("models--")
    ]
    return list(dict.fromkeys(names))


def _parts(model: SimilarityModel) -> str:
    rows = [
        (
            f"encoder {code_text(key)}",
            f"{type(encoder).__name__}, {'trained' if encoder.trainable else 'frozen'}",
            str(encoder.embedding_size),
        )
        for key, encoder in model.encoders.items()
    ]
    if model.head is not None:
        rows.append(("head", type(model.head).__name__, str(model.head.output_size)))
    sides = (
        "Queries and documents are embedded differently: `encode_query` and `encode_document`."
        if model.two_sided
        else "One embedding for every object: `encode`."
    )
    return table(("part", "type", "size"), rows) + f"\n\n{sides}"


def _data(card: ModelCard) -> str:
    if not card.data:
        return ""
    rows = [
        (
            plain_text(one.name),
            plain_text(one.use),
            "" if one.size is None else f"{one.size:,}",
            plain_text(one.form),
        )
        for one in card.data
    ]
    return "## Data\n\n" + table(("data set", "used for", "samples", "form"), rows)


def _training(card: ModelCard) -> str:
    if not card.loss and not card.training:
        return ""
    facts = ([("loss", card.loss)] if card.loss else []) + [
        *((f"loss: {name}", value) for name, value in card.loss_parameters.items()),
        *card.training.items(),
    ]
    return "## Training\n\n" + table(("", ""), [(plain_text(name), plain_text(value)) for name, value in facts])


def _metrics(card: ModelCard) -> str:
    if not card.metrics:
        return ""
    rows = [
        (
            plain_text(metric.name),
            plain_text(metric.data),
            _value(metric.before, metric.before_interval),
            _value(metric.value, metric.interval),
        )
        for metric in card.metrics
    ]
    note = f"\n\n{plain_text(card.metrics_note, most=1000)}" if card.metrics_note else ""
    return "## Metrics\n\n" + table(("metric", "data set", "before", "after"), rows) + note


def _value(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.4g}" + ("" if interval is None else f" ({interval[0]:.4g} to {interval[1]:.4g})")


def _use(model: SimilarityModel, repo_id: str | None) -> str:
    from quaterion_models.saving.registry import own_classes

    classes = own_classes(model)
    load = LOAD if repo_id is None else f'SimilarityModel.from_pretrained("{plain_text(repo_id, escape=False)}")'
    if classes:
        names = ", ".join(cls.__qualname__ for cls in classes)
        load = load.removesuffix(")") + f", classes=[{names}])"
    lines = ["from quaterion_models import SimilarityModel", "", f"model = {load}"]
    size = "no head" if model.head is None else model.head.output_size
    if model.two_sided:
        lines += [
            f"queries = model.encode_query(objects)  # [n, {size}]",
            f"documents = model.encode_document(other_objects)  # [m, {size}]",
        ]
    else:
        lines += [f"embeddings = model.encode(objects)  # [n, {size}]"]
    if model.class_weights is not None:
        lines += ["classes = model.classify(objects)  # label and similarity of the nearest class, for each object"]
    note = ""
    if classes:
        modules = ", ".join(code_text(f"{cls.__module__}.{cls.__qualname__}") for cls in classes)
        note = f"\n\nIts classes are those of the program that made it: {modules}."
    return "## Use\n\n```python\n" + "\n".join(lines) + "\n```" + note
