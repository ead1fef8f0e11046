"""From which similarity on two objects are taken for a match, from labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class MatcherCalibration(NamedTuple):
    """A threshold, and how good the matches above it are.

    Attributes:
        threshold: Pairs of this similarity or more are matches.
        precision: Share of the labelled pairs taken for matches that are some.
        recall: Share of the labelled matches that are taken for some.
        f1: Harmonic mean of both.
        pairs: Number of labelled pairs.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    pairs: int


def calibrate_matcher(
    similarities: Tensor | Sequence[float], is_match: Tensor | Sequence[float], *, precision: float | None = None
) -> MatcherCalibration:
    """Chooses a threshold.

    Args:
        similarities: Similarity of the objects of each labelled pair, `[P]`.
        is_match: Whether they match, bool `[P]` or numbers 0 and 1.
        precision: Precision that is wanted: the lowest threshold with at least that is chosen, which finds most. None
            for the threshold with the best F1, of equally good ones the highest.

    Returns:
        The threshold with its precision, recall and F1 on these pairs.

    Raises:
        ValueError: If shapes or values do not fit, no pair matches, or no threshold has that precision.

    Example:
        >>> calibrate_matcher([0.9, 0.8, 0.7, 0.2], [1, 0, 1, 0])
        MatcherCalibration(threshold=0.7, precision=0.66..., recall=1.0, f1=0.8, pairs=4)
        >>> calibrate_matcher([0.9, 0.8, 0.7, 0.2], [1, 0, 1, 0], precision=0.95).threshold
        0.9
    """
    values, matches = torch.as_tensor(similarities, dtype=torch.float64).cpu(), torch.as_tensor(is_match).cpu().double()
    if values.dim() != 1 or values.shape != matches.shape or not bool(values.isfinite().all()):
        raise ValueError(
            f"expected a finite similarity for each labelled pair, and whether it is a match, got "
            f"{list(values.shape)} and {list(matches.shape)}"
        )
    if bool(((matches != 0) & (matches != 1)).any()) or not bool(matches.any()):
        raise ValueError(
            f"expected true or false, or 1 or 0, for each labelled pair, and at least one match, got values "
            f"{sorted(set(matches.tolist()))[:5]}"
        )
    if precision is not None and (isinstance(precision, bool) or not 0 < precision <= 1):
        raise ValueError(f"precision must be above 0 and up to 1, such as 0.95, got {precision!r}")
    ordered, order = values.sort(descending=True, stable=True)
    right = matches[order].cumsum(0)
    # Pairs of equal similarity lie on one side of any threshold: only the last of them can be where it is.
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])
    thresholds, hits = ordered[last], right[last]
    taken = torch.arange(1, len(values) + 1, dtype=torch.float64)[last]
    precisions, recalls = hits / taken, hits / matches.sum()
    scores = 2 * hits / (taken + matches.sum())
    if precision is None:
        best = int(scores.argmax())
    else:
        enough = (precisions >= precision).nonzero().squeeze(1)
        if not len(enough):
            raise ValueError(
                f"no threshold has a precision of {precision:g} on the {len(values)} labelled pairs; the highest is "
                f"{float(precisions.max()):.3f}. Ask for less, or train the model further"
            )
        best = int(enough[-1])
    return MatcherCalibration(
        float(thresholds[best]), float(precisions[best]), float(recalls[best]), float(scores[best]), len(values)
    )
