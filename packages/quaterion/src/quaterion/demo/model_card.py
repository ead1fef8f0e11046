"""The card of the demo's model: data, training, figures."""

import platform
from collections.abc import Mapping

from quaterion.demo.corpus import Split
from quaterion.functional.bootstrap import Interval
from quaterion_models.saving.model_card import CardData, CardMetric, ModelCard

__all__ = ["demo_card"]

_DESCRIPTION = (
    "Finds functions, classes and methods of Python's standard library by a description of what they do. "
    "`quaterion demo` made this model: the encoder all-MiniLM-L6-v2, frozen, with a head for descriptions (queries) "
    "and a head for entries (documents).\n\n"
    "A pair is the first paragraph of a docstring and the entry's qualified name with its signature."
)


def demo_card(count: int, split: Split, before: Mapping[str, Interval], after: Mapping[str, Interval]) -> ModelCard:
    """What the demo knows of its model.

    Args:
        count: Number of all entries.
        split: Parts of the data.
        before: Scores of the encoder as it was.
        after: Scores of the model.

    Returns:
        The card's facts.
    """
    library = f"Python {platform.python_version()}'s standard library"
    uses = {"training": split.train, "choosing the best epoch": split.validation, "test": split.test}
    return ModelCard(
        title="Search in Python's standard library",
        description=_DESCRIPTION,
        language=["en"],
        base_model=["sentence-transformers/all-MiniLM-L6-v2"],
        data=[CardData(name=library, use=use, size=len(part), form="pairs") for use, part in uses.items()],
        loss="MultipleNegativesRankingLoss",
        training={"optimizer": "AdamW", "encoder": "frozen, from cached vectors"},
        metrics=[
            CardMetric(
                name=name,
                value=score.value,
                interval=(score.low, score.high),
                before=before[name].value,
                before_interval=(before[name].low, before[name].high),
                data=library,
            )
            for name, score in after.items()
        ],
        metrics_note=f"Search for the {len(split.test):,} test descriptions among all {count:,} entries. In brackets: "
        "95 % bootstrap intervals over descriptions.",
    )
