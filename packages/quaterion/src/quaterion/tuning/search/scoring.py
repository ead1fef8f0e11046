"""How good a head is on samples it did not learn from: one score for each form of data, with what it is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quaterion.functional import binary_average_precision, spearman_correlation, top_k
from quaterion.tuning.training.fold import TrainedFold
from quaterion.tuning.training.vectors import EncodedSamples
from quaterion_models.predict import knn_vote
from quaterion_models.predict.knn import DEFAULT_NEIGHBOURS as NEIGHBOURS
from quaterion_models.predict.knn import DEFAULT_TEMPERATURE as TEMPERATURE

__all__ = ["METRICS", "Score", "mean_choice", "mean_score", "score_fold", "statistic_of"]

METRICS = {"groups": "accuracy", "pairs": "mrr", "scored pairs": "spearman", "match pairs": "average precision"}
"""What is maximised for each form of data."""

CANDIDATE_TEMPERATURES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
UNSURE = (0.01, 0.03, 0.1, 0.3, 0.6, 0.9, 0.99)
"""Shares of the probability that are spread evenly over all answers: what a model that knows nothing needs, so that it
is not beaten for being too sure."""

BLOCK = 1024


@dataclass(frozen=True)
class Score:
    """Of samples that were held out.

    Args:
        value: The metric; larger is better.
        per_query: The metric of each query `[Q]`, where it is a mean over queries.
        likelihood: Logarithm of the probability that each query's right answer gets `[Q]`, likewise. It tells two
            models apart with far fewer queries than the metric does, whose values are the same for most queries.
        scored: Similarity and wanted score of each pair, where the metric is one of all pairs together.
    """

    value: float
    per_query: Tensor | None = None
    likelihood: Tensor | None = None
    scored: tuple[Tensor, Tensor] | None = None

    @property
    def choice(self) -> float:
        """What recipes are chosen by: the mean log-likelihood where there is one, else the metric."""
        return self.value if self.likelihood is None else float(self.likelihood.mean())

    @property
    def count(self) -> int:
        """Number of queries, or of pairs."""
        some: Any = self.per_query if self.scored is None else self.scored[0]
        return len(some)


def score_fold(trained: TrainedFold, *, metric: str, unseen: bool) -> Score:
    """Scores a head.

    Args:
        trained: The head, the samples that it learned from (of groups, the labelled examples that vote), and those that
            it did not.
        metric: One of `METRICS`' values.
        unseen: Whether the groups held out are others than those learned from; then their objects are searched among
            themselves.
    """
    held_out = trained.held_out
    embeddings = held_out.embed(trained.head.head)
    if metric == METRICS["groups"]:
        if unseen:
            return _score_among_themselves(embeddings[0], held_out.groups)
        return _score_groups(trained, embeddings[0])
    anchors, partners, *negatives = embeddings
    if metric == METRICS["pairs"]:
        return _score_search(anchors, torch.cat([partners, *negatives]), held_out)
    similarity = F.cosine_similarity(anchors, partners)
    wanted = held_out.table.scores.to(similarity.device)  # type: ignore[attr-defined]
    return Score(float(statistic_of(metric)(similarity, wanted)), scored=(similarity.cpu(), wanted.cpu()))


def statistic_of(metric: str) -> Callable[..., Tensor]:
    """The function of similarities and wanted scores that a metric of scored pairs is.

    Args:
        metric: "spearman" or "average precision".
    """
    if metric == METRICS["scored pairs"]:
        return spearman_correlation
    return lambda similarity, wanted, counts=None: binary_average_precision(similarity, wanted > 0.5, counts)


def _score_groups(trained: TrainedFold, embeddings: Tensor) -> Score:
    train, held_out, class_weights = trained.train, trained.held_out, trained.head.class_weights
    index = train.label_index().to(embeddings.device)
    examples, known = train.embed(trained.head.head)[0], index(train.groups.to(embeddings.device))
    # Validation data of the user's may have groups that training lacks: no recipe could tell them.
    answerable = torch.isin(held_out.groups, train.groups).to(embeddings.device)
    embeddings, groups = embeddings[answerable], index(held_out.groups.to(embeddings.device)[answerable])
    found = top_k(embeddings, examples, min(NEIGHBOURS, len(examples)))
    votes = knn_vote(found.similarities, known[found.rows], len(index.labels), TEMPERATURE)
    options = [votes]
    if class_weights is not None:
        weights = class_weights.to(embeddings.device)
        scores = weights(embeddings)
        if not weights.cosine:
            scores = scores / scores.abs().amax().clamp(min=1e-8)
        options = [(votes + (scores / temperature).softmax(dim=1)) / 2 for temperature in CANDIDATE_TEMPERATURES]
    likelihoods = [_calibrated(option.gather(1, groups[:, None]).squeeze(1), len(index.labels)) for option in options]
    best = max(range(len(options)), key=lambda place: float(likelihoods[place].mean()))
    correct = (options[best].argmax(dim=1) == groups).double().cpu()
    return Score(float(correct.mean()), per_query=correct, likelihood=likelihoods[best].cpu())


def _score_among_themselves(embeddings: Tensor, groups: Tensor) -> Score:
    groups = groups.to(embeddings.device)
    rows = torch.arange(len(groups), device=embeddings.device)
    k = min(NEIGHBOURS, len(groups) - 1)
    found = top_k(embeddings, embeddings, k, own_rows=rows)
    ids, numbers = torch.unique(groups, return_inverse=True)
    answerable = torch.bincount(numbers)[numbers] > 1  # of a group with one object nothing can be found
    probabilities = knn_vote(found.similarities, numbers[found.rows], len(ids), TEMPERATURE)[answerable]
    numbers = numbers[answerable]
    correct = (probabilities.argmax(dim=1) == numbers).double().cpu()
    likelihood = _calibrated(probabilities.gather(1, numbers[:, None]).squeeze(1), len(ids))
    return Score(float(correct.mean()), per_query=correct, likelihood=likelihood.cpu())


def _score_search(anchors: Tensor, candidates: Tensor, held_out: EncodedSamples) -> Score:
    """Every anchor searches all second objects; right are those of equal content with one of its partners."""
    targets = held_out.table.all()
    ids = targets.ids.to(anchors.device)  # type: ignore[union-attr]
    count = len(anchors)
    anchor_ids, candidate_ids = ids[:count], ids[count:]
    distinct, first = _first_of_each(candidate_ids)
    candidates = F.normalize(candidates[first], dim=1)
    partner = torch.searchsorted(distinct, candidate_ids[:count])  # [N], its place among the distinct candidates
    ranks, likelihoods = [], []
    others = _others_of(anchor_ids, partner)
    for start in range(0, count, BLOCK):
        rows = slice(start, start + BLOCK)
        similarity = F.normalize(anchors[rows], dim=1) @ candidates.T  # [B, C]
        own = similarity.gather(1, partner[rows, None])
        # Other right answers of the same anchor do not count as mistakes.
        for row, place in others(start, start + BLOCK):
            similarity[row, place] = -torch.inf
        # Equally near ones take turns: where all embeddings are equal, nothing is found.
        equal = (similarity == own).sum(dim=1) - 1
        ranks.append(1 + (similarity > own).sum(dim=1) + equal / 2)
        likelihoods.append(
            torch.stack([((own - similarity) / t).neg().logsumexp(dim=1).neg() for t in CANDIDATE_TEMPERATURES])
        )
    reciprocal = 1 / torch.cat(ranks).double()
    options = [_calibrated(one.exp(), len(candidates)) for one in torch.cat(likelihoods, dim=1)]
    best = max(options, key=lambda option: float(option.mean()))
    return Score(float(reciprocal.mean()), per_query=reciprocal.cpu(), likelihood=best.cpu())


def _first_of_each(ids: Tensor) -> tuple[Tensor, Tensor]:
    distinct, inverse = torch.unique(ids, return_inverse=True)
    first = torch.full((len(distinct),), len(ids), dtype=torch.int64, device=ids.device)
    return distinct, first.scatter_reduce(0, inverse, torch.arange(len(ids), device=ids.device), reduce="amin")


def _others_of(anchor_ids: Tensor, partner: Tensor) -> Callable[[int, int], list[tuple[int, int]]]:
    """For anchors that occur more than once: the partners of their other occurrences, by row of a block."""
    by_anchor: dict[int, list[int]] = {}
    anchors, partners = anchor_ids.tolist(), partner.tolist()
    for anchor, place in zip(anchors, partners, strict=True):
        by_anchor.setdefault(anchor, []).append(place)

    def others(start: int, stop: int) -> list[tuple[int, int]]:
        return [
            (row, place)
            for row, (anchor, own) in enumerate(zip(anchors[start:stop], partners[start:stop], strict=True))
            if len(by_anchor[anchor]) > 1
            for place in by_anchor[anchor]
            if place != own
        ]

    return others


def _calibrated(probabilities: Tensor, count: int) -> Tensor:
    """Logarithms of the probabilities of right answers, `[Q]`, mixed with the even distribution over all answers by
    that share which suits the queries best.

    Args:
        probabilities: Probability of each query's right answer `[Q]`.
        count: Number of answers.
    """  # noqa: D205
    probabilities = probabilities.double()
    options = [((1 - share) * probabilities + share / count).log() for share in UNSURE]
    return max(options, key=lambda option: float(option.mean()))


def mean_score(scores: Sequence[Score]) -> float:
    """The mean of the metric over folds, each counting by its queries or pairs.

    Args:
        scores: One for each fold.
    """
    return sum(score.value * score.count for score in scores) / sum(score.count for score in scores)


def mean_choice(scores: Sequence[Score]) -> float:
    """The mean of what recipes are chosen by, likewise.

    Args:
        scores: One for each fold.
    """
    return sum(score.choice * score.count for score in scores) / sum(score.count for score in scores)
