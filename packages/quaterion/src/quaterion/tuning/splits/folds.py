"""Parts of samples to learn from and parts to score on, which never have an object in common."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from quaterion.tuning.splits.contents import IntArray
from quaterion.tuning.splits.group_splits import LEAST_GROUPS, GroupedObjects, WholeGroups
from quaterion.tuning.splits.pair_splits import LinkedPairs
from quaterion.tuning.splits.splitter import Splitter
from quaterion.utils.counted import counted
from quaterion.utils.numbers import is_whole_number

__all__ = ["Form", "hold_out", "make_folds"]

Form = Literal["groups", "pairs", "scored pairs"]
Fold = tuple[IntArray, IntArray]


def hold_out(
    samples: Sequence[Any], form: Form, size: float, *, unseen_groups: bool, seed: int
) -> tuple[list[int], list[int]]:
    """Chooses samples to hold out.

    Objects of equal content are always on the same side.

    * Groups: the same share of each. One object of every group is kept, so groups of one object are never held out.
    * Whole groups: two or more on either side, of those with two objects or more. An object that is in groups on both
      sides is left out of those held out.
    * Pairs: those linked by a common object stay together. Where so many are linked that this would hold out less than
      half of what is wanted, their objects are dealt to the sides, and pairs with objects on both are on neither. With
      scores, all ranges of them are held out alike.

    Args:
        samples: The samples.
        form: What they are.
        size: Wanted share, between 0 and 1, or a number of samples.
        unseen_groups: Whether whole groups are held out.
        seed: Seed of the choice.

    Returns:
        Indices of samples that are kept, and of samples that are held out: none where every group has one object, or
        all pairs share one.

    Raises:
        ValueError: The size is no share and no number of samples that leaves some, or there are too few groups.

    Example:
        >>> from quaterion.dataset import SimilarityGroupSample
        >>> samples = [SimilarityGroupSample(f"text {number}", number % 2) for number in range(8)]
        >>> kept, held_out = hold_out(samples, "groups", 0.25, unseen_groups=False, seed=0)
        >>> len(kept), sorted(samples[index].group for index in held_out)
        (6, [0, 1])
    """
    count, splitter = _wanted(size, len(samples)), _splitter(samples, form, unseen_groups, seed)
    fold = splitter.hold_out(count)
    if fold is None:
        raise ValueError(
            f"Holding out whole groups (unseen_groups) takes {LEAST_GROUPS} groups with two different objects or more, "
            f"and the data has fewer ({_groups(samples)}). Give more groups, or hold out objects of every group "
            "(unseen_groups=False)."
        )
    kept, held = splitter.parts(fold, 0)
    return np.flatnonzero(kept).tolist(), np.flatnonzero(held).tolist()


def make_folds(
    samples: Sequence[Any],
    form: Form,
    num_folds: int,
    *,
    unseen_groups: bool,
    seed: int,
    share: float | None = None,
    kept: Sequence[Any] = (),
) -> list[Fold]:
    """Parts to learn from and to score on, chosen as `hold_out` does, for cross-validation.

    Every sample is held out once, but for those of groups too small to lose an object, and for pairs with objects in
    several folds, where nearly all pairs are linked. Groups of two objects or more are held out of in some fold, and
    learned from in every one.

    Args:
        samples: The samples.
        form: What they are.
        num_folds: Number of folds, 2 or more; 1 with a share. There are fewer where a fold would be left without a
            sample, two whole groups, or two pairs that are not linked (of both kinds, with scores 0 and 1).
        unseen_groups: Whether whole groups are held out.
        seed: Seed of the choice.
        share: Share to hold out for a single split.
        kept: Further samples of groups, which are never held out; they have no place in the folds.

    Returns:
        Indices `[n]` of samples that are kept, and of samples that are held out, for each fold; no fold where nothing
        can be held out.

    Raises:
        ValueError: The number of folds, or the share, is out of range.

    Example:
        >>> from quaterion.dataset import SimilarityGroupSample
        >>> samples = [SimilarityGroupSample(f"text {number}", number // 2) for number in range(6)]
        >>> folds = make_folds(samples, "groups", 2, unseen_groups=False, seed=0)
        >>> [(len(kept), len(held_out)) for kept, held_out in folds]
        [(3, 3), (3, 3)]
    """
    if (share is None and num_folds < 2) or (share is not None and (num_folds != 1 or not 0 < share < 1)):
        raise ValueError(
            f"num_folds={num_folds}, share={share}; expected 2 folds or more, or num_folds=1 with a share between 0 "
            "and 1."
        )
    splitter = _splitter(samples, form, unseen_groups, seed, kept)
    fold = splitter.deal(num_folds) if share is None else splitter.hold_out(_wanted(share, len(samples)))
    if fold is None:
        return []
    parts = [splitter.parts(fold, number) for number in range(int(fold.max()) + 1)]
    parts = [(learned[: len(samples)], held[: len(samples)]) for learned, held in parts]
    return [(np.flatnonzero(kept), np.flatnonzero(held)) for kept, held in parts if kept.any() and held.any()]


def _splitter(samples: Sequence[Any], form: Form, unseen_groups: bool, seed: int, kept: Sequence[Any] = ()) -> Splitter:
    rng = np.random.default_rng(seed)
    if form != "groups":
        return LinkedPairs(samples, scored=form == "scored pairs", rng=rng)
    return WholeGroups(samples, rng) if unseen_groups else GroupedObjects(samples, rng, kept)


def _wanted(size: float, total: int) -> int:
    """Number of samples to hold out: one at least."""
    if 0 < size < 1:
        return max(1, round(size * total))
    if is_whole_number(size) and 0 < size < total:
        return int(size)
    raise ValueError(
        f"Cannot hold out {size!r} of {total:,} samples; expected a share between 0 and 1, such as 0.2, or a whole "
        f"number of samples that leaves some, from 1 to {max(1, total - 1):,}."
    )


def _groups(samples: Sequence[Any]) -> str:
    number = len({sample.group for sample in samples})
    return f"{counted(number, 'group')} of {counted(len(samples), 'sample')}"
