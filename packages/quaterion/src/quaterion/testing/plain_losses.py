"""Every loss as a plain loop: slow, short, and independent of `quaterion.functional`.

They are the references that `check_loss` compares the losses with, and show what a reference of a user's own loss
looks like: `reference(loss, embeddings, targets)`, with a keyword `memory` where the loss takes a cross-batch memory.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets

__all__ = [
    "plain_arc_face",
    "plain_center",
    "plain_circle",
    "plain_contrastive",
    "plain_cos_face",
    "plain_cosent",
    "plain_cosine_similarity",
    "plain_distillation",
    "plain_fast_ap",
    "plain_guided_negatives",
    "plain_multi_similarity",
    "plain_multiple_negatives_ranking",
    "plain_online_contrastive",
    "plain_proxy_anchor",
    "plain_softmax",
    "plain_sup_con",
    "plain_triplet",
]

Memory = tuple[Tensor, Tensor] | None
Row = tuple[int, list[Tensor], list[Tensor]]


def similarity(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the similarity of two vectors."""
    if metric == "cosine":
        norm = x.norm() * y.norm()
        return (x @ y) / norm if norm > 0 else 0.0 * x.sum()
    if metric == "dot_product":
        return x @ y
    return 1 / (1 + distance(x, y, metric))


def distance(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the distance of two vectors."""
    if metric == "cosine":
        return 1 - similarity(x, y, metric)
    if metric == "dot_product":
        return -(x @ y)
    difference = x - y
    return difference.abs().sum() if metric == "manhattan" else difference.square().sum().sqrt()


def mean(values: Iterable[Any], embeddings: Tensor) -> Tensor:
    """Average a list of scalars; 0 where it is empty."""
    listed = [torch.as_tensor(value, dtype=embeddings.dtype) for value in values]
    return torch.stack(listed).mean() if listed else 0.0 * embeddings.sum()


def rows(function: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory, metric: str) -> Iterable[Row]:
    """Yield each anchor with the list of its positives' and of its negatives' similarities or distances."""
    candidates, groups = (embeddings, targets.groups) if memory is None else memory
    for i in range(len(embeddings)):
        positives: list[Tensor] = []
        negatives: list[Tensor] = []
        for j in range(len(candidates)):
            if memory is None and i == j:
                continue
            chosen = positives if groups[j] == targets.groups[i] else negatives
            chosen.append(function(embeddings[i], candidates[j], metric))
        yield i, positives, negatives


def plain_triplet(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `TripletLoss`."""
    anchors = [
        (positives, negatives)
        for _, positives, negatives in rows(distance, embeddings, targets, memory, loss.distance_metric_name)
        if positives and negatives
    ]
    terms = []
    nearest = [min(negatives).item() for _, negatives in anchors]
    divisor = max(sum(nearest) / max(1, len(nearest)), 1e-6) if loss.relative else 1.0
    for positives, negatives in anchors:
        if loss.mining == "hard":
            difference = (max(positives) - min(negatives)) / divisor
            terms.append((1 + difference.exp()).log() if loss.soft else (difference + loss.margin).clamp(min=0))
        for positive in positives if loss.mining == "semi_hard" else []:
            farther = [negative for negative in negatives if negative > positive]
            negative = min(farther) if farther else max(negatives)
            terms.append((positive - negative + loss.margin).clamp(min=0))
        for positive in positives if loss.mining == "all" else []:
            terms += [positive - n + loss.margin for n in negatives if positive - n + loss.margin > 0]
    return mean(terms, embeddings)


def plain_online_contrastive(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `OnlineContrastiveLoss`."""
    pulled, pushed = [], []
    for _, positives, negatives in rows(distance, embeddings, targets, memory, loss.distance_metric_name):
        hard = loss.mining == "hard"
        pulled += [d**2 for d in (positives and [max(positives)] if hard else positives)]
        nearest = negatives and [min(negatives)] if hard else negatives
        pushed += [(loss.margin - d).clamp(min=0) ** 2 for d in nearest]
    return 0.5 * (mean(pulled, embeddings) + mean(pushed, embeddings))


def plain_circle(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `CircleLoss`; the weights are detached."""
    m, gamma = loss.margin, loss.scale_factor
    terms = []
    for _, positives, negatives in rows(similarity, embeddings, targets, memory, loss.distance_metric_name):
        if positives and negatives:
            pull = [-gamma * (1 + m - s.detach()).clamp(min=0) * (s - (1 - m)) for s in positives]
            push = [gamma * (s.detach() + m).clamp(min=0) * (s - m) for s in negatives]
            exponent = torch.stack(pull).logsumexp(0) + torch.stack(push).logsumexp(0)
            terms.append(torch.logaddexp(exponent, 0 * exponent))  # log(1 + e^x), without overflow
    return mean(terms, embeddings)


def plain_fast_ap(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `FastAPLoss`."""
    width = 4 / loss.num_bins
    terms = []
    for _, positives, negatives in rows(similarity, embeddings, targets, memory, "cosine"):
        if not positives:
            continue
        of_positives, of_all, precision_sum = 0.0 * embeddings.sum(), 0.0 * embeddings.sum(), 0.0 * embeddings.sum()
        for b in range(loss.num_bins + 1):
            hats = (1 - (2 - 2 * torch.stack(positives + negatives) - b * width).abs() / width).clamp(min=0)
            in_bin = hats[: len(positives)].sum()
            of_positives, of_all = of_positives + in_bin, of_all + hats.sum()
            if of_all > 0:
                precision_sum = precision_sum + in_bin * of_positives / of_all
        terms.append(1 - precision_sum / len(positives))
    return mean(terms, embeddings)


def plain_multi_similarity(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `MultiSimilarityLoss`."""
    terms = []
    for _, positives, negatives in rows(similarity, embeddings, targets, memory, loss.distance_metric_name):
        hard_positives = [s for s in positives if negatives and s < max(negatives) + loss.epsilon]
        hard_negatives = [s for s in negatives if positives and s > min(positives) - loss.epsilon]
        one = 1 + 0.0 * embeddings.sum()
        pull = sum((torch.exp(-loss.alpha * (s - loss.base)) for s in hard_positives), start=one)
        push = sum((torch.exp(loss.beta * (s - loss.base)) for s in hard_negatives), start=one)
        terms.append(torch.log(pull) / loss.alpha + torch.log(push) / loss.beta)
    return mean(terms, embeddings)


def plain_sup_con(loss: Any, embeddings: Tensor, targets: GroupTargets, memory: Memory = None) -> Tensor:
    """Compute `SupConLoss`."""
    terms = []
    for _, positives, negatives in rows(similarity, embeddings, targets, memory, loss.distance_metric_name):
        total = sum(torch.exp(s / loss.temperature) for s in positives + negatives)
        log_softmaxes = [torch.log(torch.exp(s / loss.temperature) / total) for s in positives]
        if positives:
            terms.append(-mean(log_softmaxes, embeddings))
    return mean(terms, embeddings)


def _cross_entropy(logits: list[Tensor], target: int) -> Tensor:
    return -torch.log(torch.exp(logits[target]) / sum(torch.exp(logit) for logit in logits))


def plain_softmax(loss: Any, embeddings: Tensor, targets: GroupTargets) -> Tensor:
    """Compute `SoftmaxLoss`."""
    metric = "cosine" if loss.normalize else "dot_product"
    terms = []
    for x, group in zip(embeddings, targets.groups.tolist(), strict=True):
        if group >= 0:
            logits = [similarity(x, w, metric) / loss.temperature for w in loss.weight]
            terms.append(_cross_entropy(logits, group))
    return mean(terms, embeddings)


def plain_arc_face(loss: Any, embeddings: Tensor, targets: GroupTargets) -> Tensor:
    """Compute `ArcFaceLoss`."""
    centers = loss.weight.reshape(loss.num_groups, loss.sub_centers, -1)
    terms = []
    for x, group in zip(embeddings, targets.groups.tolist(), strict=True):
        if group >= 0:
            cosines = [max(similarity(x, center, "cosine") for center in own) for own in centers]
            angle = torch.acos(cosines[group])
            turned = torch.cos(angle + loss.margin)
            if angle > math.pi - loss.margin:
                turned = cosines[group] - loss.margin * math.sin(loss.margin)
            logits = [loss.scale * (turned if k == group else cosine) for k, cosine in enumerate(cosines)]
            terms.append(_cross_entropy(logits, group))
    return mean(terms, embeddings)


def plain_cos_face(loss: Any, embeddings: Tensor, targets: GroupTargets) -> Tensor:
    """Compute `CosFaceLoss`."""
    terms = []
    for x, group in zip(embeddings, targets.groups.tolist(), strict=True):
        if group >= 0:
            cosines = [similarity(x, w, "cosine") for w in loss.weight]
            logits = [loss.scale * (c - loss.margin * (k == group)) for k, c in enumerate(cosines)]
            terms.append(_cross_entropy(logits, group))
    return mean(terms, embeddings)


def plain_proxy_anchor(loss: Any, embeddings: Tensor, targets: GroupTargets) -> Tensor:
    """Compute `ProxyAnchorLoss`."""
    pulled, pushed = [], []
    groups = targets.groups.tolist()
    one = 1 + 0.0 * embeddings.sum()
    for k, proxy in enumerate(loss.weight):
        own = [similarity(x, proxy, "cosine") for x, g in zip(embeddings, groups, strict=True) if g == k]
        others = [similarity(x, proxy, "cosine") for x, g in zip(embeddings, groups, strict=True) if g not in (k, -1)]
        if own:
            pulled.append(torch.log(sum((torch.exp(-loss.alpha * (s - loss.margin)) for s in own), start=one)))
        pushed.append(torch.log(sum((torch.exp(loss.alpha * (s + loss.margin)) for s in others), start=one)))
    return mean(pulled, embeddings) + mean(pushed, embeddings)


def plain_center(loss: Any, embeddings: Tensor, targets: GroupTargets) -> Tensor:
    """Compute `CenterLoss`."""
    terms = [
        (x / x.norm() - loss.weight[group] / loss.weight[group].norm()).square().sum()
        for x, group in zip(embeddings, targets.groups.tolist(), strict=True)
        if group >= 0
    ]
    weight: float = loss.lambda_c / 2
    return weight * mean(terms, embeddings)


def plain_contrastive(loss: Any, embeddings: Tensor, targets: PairTargets) -> Tensor:
    """Compute `ContrastiveLoss`."""
    metric, subgroups = loss.distance_metric_name, targets.subgroups
    of_pairs, of_objects = [], []
    for (i, j), score in zip(targets.pairs.tolist(), targets.scores.tolist(), strict=True):
        d = distance(embeddings[i], embeddings[j], metric)
        of_pairs.append(0.5 * (score * d**2 + (1 - score) * (loss.margin - d).clamp(min=0) ** 2))
    paired = targets.pairs.flatten().tolist()
    for i in paired:
        others = [distance(embeddings[i], embeddings[j], metric) for j in paired if subgroups[i] != subgroups[j]]
        if others:
            of_objects.append(0.5 * (loss.margin - min(others)).clamp(min=0) ** 2)
    if loss.size_average:
        return mean(of_pairs, embeddings) + mean(of_objects, embeddings)
    return sum(of_pairs, start=0.0 * embeddings.sum()) + sum(of_objects, start=0.0 * embeddings.sum())


def plain_multiple_negatives_ranking(
    loss: Any,
    embeddings: Tensor,
    targets: PairTargets,
    guide: Tensor | None = None,
    memory: tuple[Tensor, ...] | None = None,
) -> Tensor:
    """Compute `MultipleNegativesRankingLoss`; `guide` also holds the rows of the memory, if there is one."""
    pairs, subgroups, ids = targets.pairs.tolist(), targets.subgroups.tolist(), targets.ids.tolist()
    extra = targets.negatives[:, 1].tolist()
    with_subgroups = {row for pair in pairs for row in pair}
    if memory is not None:
        # The memory's rows come after those of the batch, as further explicit negatives with subgroups.
        remembered = range(len(embeddings), len(embeddings) + len(memory[0]))
        embeddings = torch.cat([embeddings, memory[0]])
        ids = ids + memory[1].tolist()
        subgroups = subgroups + [None] * (remembered.start - len(subgroups)) + memory[2].tolist()
        extra, with_subgroups = [*extra, *remembered], with_subgroups | {*remembered}
    used = targets.subgroups_used
    if used is None:
        used = len({subgroups[row] for row in with_subgroups}) > 1

    def one_direction(queries: list[int], partners: list[int], extra: list[int]) -> Tensor:
        terms = []
        for query, partner in zip(queries, partners, strict=True):
            kept = [partner]
            for candidate in partners + extra:
                sibling = used and candidate in with_subgroups and subgroups[candidate] == subgroups[query]
                closer = guide is not None and bool(
                    similarity(guide[query], guide[candidate], "cosine")
                    > similarity(guide[query], guide[partner], "cosine")
                )
                if ids[candidate] not in (ids[query], ids[partner]) and not sibling and not closer:
                    kept.append(candidate)
            logits = [
                loss.scale * similarity(embeddings[query], embeddings[k], loss.distance_metric_name) for k in kept
            ]
            terms.append(_cross_entropy(logits, 0))
        return mean(terms, embeddings)

    anchors, partners = [a for a, _ in pairs], [b for _, b in pairs]
    value = one_direction(anchors, partners, extra)
    return (value + one_direction(partners, anchors, [])) / 2 if loss.symmetric else value


def plain_guided_negatives(
    loss: Any, embeddings: Tensor, targets: PairTargets, memory: tuple[Tensor, ...] | None = None
) -> Tensor:
    """Compute `GuidedNegatives`."""
    ids = targets.ids if memory is None else torch.cat([targets.ids, memory[1]])
    return plain_multiple_negatives_ranking(loss.loss, embeddings, targets, loss.guide(ids), memory)


def plain_cosine_similarity(loss: Any, embeddings: Tensor, targets: PairTargets) -> Tensor:
    """Compute `CosineSimilarityLoss`."""
    del loss  # it has no hyper-parameters
    return mean(
        (
            (similarity(embeddings[i], embeddings[j], "cosine") - score) ** 2
            for (i, j), score in zip(targets.pairs.tolist(), targets.scores.tolist(), strict=True)
        ),
        embeddings,
    )


def plain_cosent(loss: Any, embeddings: Tensor, targets: PairTargets) -> Tensor:
    """Compute `CoSENTLoss`."""
    scores = targets.scores.tolist()
    values = [similarity(embeddings[i], embeddings[j], loss.distance_metric_name) for i, j in targets.pairs.tolist()]
    total = 0.0 * embeddings.sum()
    for high, high_score in zip(values, scores, strict=True):
        for low, low_score in zip(values, scores, strict=True):
            if high_score > low_score:
                total = total + torch.exp(loss.scale * (low - high))
    return torch.log(1 + total)


def plain_distillation(loss: Any, embeddings: Tensor, targets: PairTargets) -> Tensor:
    """Compute `DistillationLoss`."""
    teacher, metric = loss.teacher(targets.ids), loss.distance_metric_name
    numbers = range(len(embeddings))
    return mean(
        (
            (similarity(embeddings[i], embeddings[j], metric) - similarity(teacher[i], teacher[j], metric)) ** 2
            for i in numbers
            for j in numbers
            if i != j
        ),
        embeddings,
    )
