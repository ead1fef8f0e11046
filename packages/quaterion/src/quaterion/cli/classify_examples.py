"""The classifier that `quaterion classify` asks: the model's own, or one from a file of labelled examples."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from quaterion.cli.encoded_texts import encoded_texts

if TYPE_CHECKING:
    from quaterion.dataset.files import Samples
    from quaterion_models import SimilarityModel
    from quaterion_models.predict import Calibration, Classifier, Method

__all__ = ["ClassifierOptions", "choose_classifier", "held_out_rows"]

FOLD = 5
"""Of so many examples of a group one is held out."""

ENOUGH = 20
"""So many examples have to be held out for figures that mean something."""


@dataclass(frozen=True)
class ClassifierOptions:
    """What the user has asked for.

    Args:
        method: What decides; None for what the model's classifier does.
        threshold: The threshold; None for that of the classifier.
        keep: Share of known objects that a new threshold keeps.
    """

    method: "Method | None" = None
    threshold: float | None = None
    keep: float | None = None


def choose_classifier(
    name: str, model: "SimilarityModel", examples: "Samples | None", options: ClassifierOptions
) -> "Classifier":
    """Loads or makes the classifier.

    A new one is calibrated on a fifth of the examples, which are held out for that, and has all of them in the end.

    Args:
        name: What the user calls the model; its folder may hold a classifier.
        model: The model.
        examples: Labelled examples; added to those of the model's classifier where there is one.
        options: What the user has asked for.

    Raises:
        ValueError: There is nothing to classify by, or too few examples to calibrate on.
    """
    from quaterion_models.predict import Classifier, has_classifier

    own = Classifier.load(name, model=model) if has_classifier(name) else None
    if own is not None and options.method is not None:
        own = own.replace(method=options.method)
    if examples is not None:
        own = _with_examples(own, model, examples, options)
    elif options.keep is not None:
        raise ValueError("--keep calibrates a threshold on labelled examples: give some with --examples.")
    if own is None:
        own = _by_weights(name, model, options)
    return own if options.threshold is None else own.replace(threshold=options.threshold)


def _by_weights(name: str, model: "SimilarityModel", options: ClassifierOptions) -> "Classifier":
    from quaterion_models.predict import Classifier

    if model.class_weights is None or options.method not in (None, "weights"):
        raise ValueError(
            f"{name} has no classifier in its folder, so there is nothing to tell groups by. Give labelled examples: "
            "--examples FILE --text COLUMN --group COLUMN (and --save to keep them)."
        )
    labels = [label for label in model.class_weights.labels if label is not None]
    return Classifier(model, labels, method="weights")


def _with_examples(
    own: "Classifier | None", model: "SimilarityModel", examples: "Samples", options: ClassifierOptions
) -> "Classifier":
    from quaterion_models.predict import Classifier, calibrate, calibrate_threshold

    if examples.kind != "groups":
        raise ValueError(f"{examples.name} holds pairs; expected examples with their labels: --text and --group.")
    labels = [sample.group for sample in examples]
    embeddings = encoded_texts(model, [sample.obj for sample in examples])

    def build(rows: Sequence[int]) -> Classifier:
        some, names = embeddings[list(rows)], [labels[row] for row in rows]
        if own is not None:
            return own.add_embeddings(some, names)
        return Classifier.from_embeddings(model, some, names, method=options.method or "knn")

    every, held_out = range(len(labels)), held_out_rows(labels)
    if len(held_out) < ENOUGH or len(set(labels)) < 2:
        if options.keep is not None:
            raise ValueError(
                f"--keep needs more examples of two groups or more: {len(held_out)} of {len(labels)} can be held out "
                f"to calibrate on, and {ENOUGH} are needed. Give more, or set --threshold yourself."
            )
        return build(every)
    hidden = set(held_out)
    rest = build([row for row in every if row not in hidden])
    vectors, names = embeddings[held_out], [labels[row] for row in held_out]
    if own is None:
        calibrated, found = calibrate(rest, vectors, names, keep=options.keep)
        _tell(found)
        return build(every).replace(**calibrated.settings())
    if options.keep is None:
        return build(every)
    return build(every).replace(threshold=calibrate_threshold(rest, vectors, names, keep=options.keep).threshold)


def held_out_rows(labels: Sequence[Any]) -> list[int]:
    """Chooses a fifth of each group, spread over all of it; of every group an example stays.

    Args:
        labels: The label of each example.

    Returns:
        Rows in ascending order, the same for the same labels.

    Example:
        >>> held_out_rows(["a"] * 6 + ["b"] * 5 + ["c"])
        [0, 5, 10]
    """
    groups: dict[Any, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        groups[label].append(row)
    chosen = []
    for number, rows in enumerate(groups.values()):
        if len(rows) > 1:
            chosen += [row for place, row in enumerate(rows) if (place + number) % FOLD == 0]
    return sorted(chosen)


def _tell(found: "Calibration") -> None:
    confidence, threshold = found.confidence, found.threshold
    text = (
        f"On examples held out: accuracy {confidence.accuracy:.1%}, confidence off by {confidence.ece:.3f} on average."
    )
    if threshold is not None:
        text += (
            f" The threshold {threshold.threshold:.3f} keeps {threshold.known_kept:.1%} of them, and turns away "
            f"{threshold.unknown_recognised:.1%} with their own group hidden."
        )
    typer.echo(text, err=True)
