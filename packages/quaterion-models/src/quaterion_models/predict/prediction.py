"""What a classifier says of an object."""

from typing import Any, NamedTuple


class Prediction(NamedTuple):
    """What an object was taken for.

    Attributes:
        label: Label of the most probable group; None for "none of these", where nothing known is near enough.
        confidence: Probability of that group among the known ones, whether or not it was taken.
        similarity: Similarity to the nearest labelled example; to the nearest class weight where there are no examples.
    """

    label: Any
    confidence: float
    similarity: float
