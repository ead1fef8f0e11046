"""Names of groups as labelled examples: "card_arrival" says in words what its texts are about."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from quaterion.dataset.similarity_samples import SimilarityGroupSample
from quaterion.tuning.splits.contents import content_of

__all__ = ["group_name_samples", "readable_name"]

_JOINTS = re.compile(r"[_\-./:]+|(?<=[a-z])(?=[A-Z])")
"""What stands between the words of an identifier."""


def readable_name(label: str) -> str:
    """The words of a label.

    Args:
        label: A label, which may be an identifier.

    Returns:
        Words with a space between them.

    Example:
        >>> readable_name("card_arrival"), readable_name("lostCard"), readable_name("top-up/failed")
        ('card arrival', 'lost Card', 'top up failed')
    """
    return " ".join(_JOINTS.sub(" ", label).split())


def group_name_samples(samples: Sequence[Any], others: Iterable[Any] = ()) -> list[SimilarityGroupSample]:
    """One sample for each group whose name can be read as a text.

    Args:
        samples: Samples of groups.
        others: Further samples, such as those of the test.

    Returns:
        The samples, without those whose text is an object of any sample, so that nothing that is learned from is
        scored on. None where objects are no texts, or a label has no letters.

    Example:
        >>> samples = [SimilarityGroupSample("where is it?", "card_arrival"), SimilarityGroupSample("gone", 7)]
        >>> group_name_samples(samples)
        [SimilarityGroupSample(obj='card arrival', group='card_arrival')]
    """
    if not all(isinstance(sample.obj, str) for sample in samples):
        return []
    taken = {content_of(sample.obj) for part in (samples, others) for sample in part}
    labels = sorted({sample.group for sample in samples if isinstance(sample.group, str)})
    named = [SimilarityGroupSample(readable_name(label), label) for label in labels]
    return [one for one in named if any(map(str.isalpha, one.obj)) and content_of(one.obj) not in taken]
