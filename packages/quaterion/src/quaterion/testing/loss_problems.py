"""Small batches on which the loss battery tries a loss, regular and degenerate."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss import SimilarityLoss

__all__ = ["Problem", "degenerate_problems", "ideal_problems", "independent_problem", "random_problems"]


@dataclass(frozen=True)
class Problem:
    """A batch in float64.

    Attributes:
        name: What is special about it.
        embeddings: `[B, D]` float64.
        targets: Targets of the same rows.
        nothing_valid: Whether the loss must be exactly 0.
    """

    name: str
    embeddings: Tensor
    targets: GroupTargets | PairTargets
    nothing_valid: bool = False

    def to(self, device: torch.device | str) -> "Problem":
        """Return the same problem on a device."""
        return replace(self, embeddings=self.embeddings.to(device), targets=self.targets.to(device))

    def permuted(self, seed: int) -> "Problem":
        """Return the same batch in another order of rows, and of pairs."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.embeddings), generator=generator)
        embeddings = self.embeddings[order]
        if isinstance(self.targets, GroupTargets):
            return replace(self, embeddings=embeddings, targets=GroupTargets(self.targets.groups[order]))
        # Only whole pairs change places: anchors, partners and negatives stay in their parts of the batch.
        pairs = len(self.targets.pairs)
        shuffled = torch.randperm(pairs, generator=generator)
        extra = torch.randperm(len(self.targets.negatives), generator=generator)
        order = torch.cat([shuffled, shuffled + pairs, extra + 2 * pairs])
        position = order.argsort()
        targets = PairTargets(
            position[self.targets.pairs[shuffled]],
            self.targets.scores[shuffled],
            self.targets.subgroups[order[: 2 * pairs]],
            self.targets.ids[order],
            position[self.targets.negatives[extra]],
        )
        return replace(self, embeddings=self.embeddings[order], targets=targets)


def random_problems(loss: SimilarityLoss, size: int, generator: torch.Generator) -> list[Problem]:
    """Draw batches with everything in them: groups of several sizes, one seen once, pairs with equal objects.

    Args:
        loss: Decides between groups and pairs, and which groups and scores may occur.
        size: Components of an embedding.
        generator: Source of randomness.

    Returns:
        Several problems.
    """
    sizes = [(3, 1, 2, 5, 4), (2, 2, 2, 2), (7, 6)]
    if loss.target_type is GroupTargets:
        return [_random_groups(loss, counts, size, generator) for counts in sizes]
    accepts_any = _accepts_scores(loss)
    return [
        _random_pairs(pairs, extra, size, generator, distinct_subgroups=distinct, any_score=accepts_any)
        for pairs, extra, distinct in ((7, 4, 7), (6, 0, 3), (5, 3, 1))
    ]


def independent_problem(loss: SimilarityLoss, generator: torch.Generator) -> tuple[Problem, Tensor]:
    """Make a batch with as many dimensions as rows, so that every similarity can change on its own.

    Each object has exactly one positive, and all similarities are above 0.

    Args:
        loss: Decides between groups and pairs.
        generator: Source of randomness.

    Returns:
        The problem, and `[B, B]` signs: 1 for positives, −1 for negatives, 0 for neither.
    """
    rows = 12
    embeddings = torch.rand(rows, 2 * rows, generator=generator, dtype=torch.float64)
    embeddings = torch.linalg.qr(torch.nn.functional.normalize(embeddings).T).R.T  # [B, B], same similarities
    half = rows // 2
    pair_of = torch.arange(half).repeat(2)
    signs = torch.where(pair_of.unsqueeze(0) == pair_of.unsqueeze(1), 1, -1)
    signs.fill_diagonal_(0)
    if loss.target_type is GroupTargets:
        return Problem("one positive each", embeddings, GroupTargets(pair_of)), signs
    scores = torch.ones(half)
    if _accepts_scores(loss):
        scores[::2] = 0.0
        unlike = torch.arange(0, half, 2)
        signs[unlike, unlike + half] = -1
        signs[unlike + half, unlike] = -1
    return Problem("one partner each", embeddings, _pair_targets(half, scores=scores)), signs


def ideal_problems(loss: SimilarityLoss, size: int) -> tuple[Problem, Problem]:
    """Make a batch in which every group or pair has an axis to itself, and one in which none has.

    Args:
        loss: Decides between groups and pairs.
        size: Components of an embedding.

    Returns:
        Ideal and all-wrong embeddings with the same targets.
    """
    kinds = min(4, 2 * size // 3, getattr(loss, "num_groups", None) or 4)
    axes = torch.eye(size, dtype=torch.float64)[:kinds]
    if loss.target_type is GroupTargets:
        targets = GroupTargets(torch.arange(kinds).repeat_interleave(kinds))
        ideal, wrong = axes.repeat_interleave(kinds, dim=0), axes.repeat(kinds, 1)
        return Problem("ideal", ideal, targets), Problem("all wrong", wrong, targets)
    if not _accepts_scores(loss):
        pair_targets = _pair_targets(kinds)
        return (
            Problem("ideal", torch.cat([axes, axes]), pair_targets),
            Problem("all wrong", torch.cat([axes, axes.roll(1, dims=0)]), pair_targets),
        )
    # Half of the pairs score 0; their partners have axes of their own, so that nobody else is near them.
    unlike = kinds // 2
    scores = (torch.arange(kinds) >= unlike).float()
    others = torch.eye(size, dtype=torch.float64)[kinds : kinds + unlike]
    pair_targets = _pair_targets(kinds, scores=scores)
    return (
        Problem("ideal", torch.cat([axes, others, axes[unlike:]]), pair_targets),
        Problem("all wrong", torch.cat([axes, axes[:unlike], others, axes[2 * unlike :]]), pair_targets),
    )


def degenerate_problems(loss: SimilarityLoss, size: int, generator: torch.Generator) -> list[Problem]:
    """Make the batches that are legal and easily give NaN.

    Args:
        loss: Decides between groups and pairs.
        size: Components of an embedding.
        generator: Source of randomness.

    Returns:
        The problems.
    """

    def draw(rows: int) -> Tensor:
        return torch.randn(rows, size, generator=generator, dtype=torch.float64)

    with_zero = draw(8)
    with_zero[[0, 5]] = 0.0
    if loss.target_type is GroupTargets:
        return _degenerate_groups(loss, draw, with_zero)
    same = torch.ones(8, size, dtype=torch.float64)
    return [
        Problem("no pair", draw(0), _pair_targets(0), nothing_valid=True),
        Problem("one pair", draw(2), _pair_targets(1)),
        Problem("one pair, equal objects", same[:2], _pair_targets(1)),
        Problem("all embeddings equal", same, _pair_targets(4)),
        Problem("all objects equal", same, _pair_targets(4, ids=torch.zeros(8, dtype=torch.int64))),
        Problem("one subgroup", draw(8), _pair_targets(4, subgroups=torch.zeros(8, dtype=torch.int64))),
        Problem("zero rows", with_zero, _pair_targets(4)),
        Problem("all rows zero", torch.zeros_like(same), _pair_targets(4)),
    ]


def _degenerate_groups(loss: SimilarityLoss, draw: Callable[[int], Tensor], with_zero: Tensor) -> list[Problem]:
    size = with_zero.shape[1]
    kinds = getattr(loss, "num_groups", None)
    same = torch.ones(8, size, dtype=torch.float64)
    two = torch.tensor([0, 1] * 4) % (kinds or 2)
    distinct = torch.arange(8) % (kinds or 8)
    problems = [
        Problem("no row", draw(0), GroupTargets(two[:0]), nothing_valid=True),
        Problem("one row", draw(1), GroupTargets(two[:1]), nothing_valid=kinds is None),
        Problem("all embeddings equal", same, GroupTargets(two)),
        Problem("all embeddings equal, one group", same, GroupTargets(torch.zeros_like(two))),
        Problem("one group", draw(8), GroupTargets(torch.zeros_like(two))),
        Problem("every group seen once", draw(8), GroupTargets(distinct)),
        Problem("one group seen once", draw(8), GroupTargets(torch.tensor([0] * 7 + [1]) % (kinds or 2))),
        Problem("zero rows", with_zero, GroupTargets(two)),
        Problem("all rows zero", torch.zeros_like(same), GroupTargets(two)),
    ]
    if kinds is not None:
        unknown = torch.full_like(two, -1)
        problems.append(Problem("unknown groups only", draw(8), GroupTargets(unknown), nothing_valid=True))
        for parameter in loss.parameters():
            if parameter.ndim == 2 and parameter.shape[1] == size and len(parameter) % kinds == 0:
                first = parameter.detach().cpu().double()[:: len(parameter) // kinds]
                targets = GroupTargets(torch.arange(kinds))
                problems.append(Problem("embeddings equal to class weights", first, targets))
                problems.append(Problem("embeddings opposite to class weights", -first, targets))
    return problems


def _random_groups(loss: SimilarityLoss, counts: tuple[int, ...], size: int, generator: torch.Generator) -> Problem:
    groups = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    groups = groups[torch.randperm(len(groups), generator=generator)]
    kinds = getattr(loss, "num_groups", None)
    # Without class weights ids are labels, not indices; with them, unknown groups (−1) are among them.
    groups = groups * 1_000_003 - 7 if kinds is None else groups % (kinds + 1) - 1
    embeddings = torch.randn(len(groups), size, generator=generator, dtype=torch.float64)
    return Problem(f"groups of {counts}", embeddings, GroupTargets(groups))


def _random_pairs(
    pairs: int,
    extra: int,
    size: int,
    generator: torch.Generator,
    *,
    distinct_subgroups: int,
    any_score: bool,
) -> Problem:
    embeddings = torch.randn(2 * pairs + extra, size, generator=generator, dtype=torch.float64)
    ids = torch.arange(len(embeddings)) * 1_000_003 - 7
    scores = torch.ones(pairs)
    if any_score:
        scores = torch.tensor([1.0, 0.0, 0.5, 0.25])[torch.arange(pairs) % 4]
    # Equal objects, though with vectors of their own: equal vectors would be ties, where gradients may
    # differ.
    if pairs > 2:  # two pairs have the same partner
        ids[pairs + 1] = ids[pairs + 2]
    if extra:  # an explicit negative is somebody's partner
        ids[2 * pairs] = ids[pairs]
    subgroups = torch.arange(pairs).remainder(distinct_subgroups).repeat(2)
    anchors = torch.arange(extra) % pairs
    targets = _pair_targets(pairs, scores=scores, subgroups=subgroups, ids=ids)._replace(
        negatives=torch.stack([anchors, torch.arange(extra) + 2 * pairs], dim=1)
    )
    return Problem(f"{pairs} pairs, {distinct_subgroups} subgroups, {extra} negatives", embeddings, targets)


def _pair_targets(
    pairs: int,
    *,
    scores: Tensor | None = None,
    subgroups: Tensor | None = None,
    ids: Tensor | None = None,
) -> PairTargets:
    first = torch.arange(pairs)
    return PairTargets(
        torch.stack([first, first + pairs], dim=1),
        torch.ones(pairs) if scores is None else scores,
        first.repeat(2) if subgroups is None else subgroups,
        torch.arange(2 * pairs) if ids is None else ids,
        torch.zeros(0, 2, dtype=torch.int64),
    )


def _accepts_scores(loss: SimilarityLoss) -> bool:
    targets = _pair_targets(2, scores=torch.tensor([0.0, 0.5]))
    try:
        loss.check_targets(targets)
    except ValueError:
        return False
    return True
