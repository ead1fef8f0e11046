"""Ranking with in-batch negatives: each anchor should pick its partner among all partners of the batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.functional.reduce import zero_loss
from quaterion.functional.row_blocks import sum_over_rows
from quaterion.functional.similarity import prepare, prepared_similarity_matrix

__all__ = ["multiple_negatives_ranking_loss"]


class _Guide(NamedTuple):
    anchors: Tensor
    candidates: Tensor


class _Ranking(NamedTuple):
    """One direction: query i should pick candidate i among all candidates."""

    queries: Tensor
    candidates: Tensor
    subgroups: Tensor | None
    reference_subgroups: Tensor | None
    subgroups_used: Tensor | None
    query_ids: Tensor | None
    ids: Tensor | None
    guide: _Guide | None

    def excluded(self, start: int, stop: int) -> Tensor:
        # [stop − start, candidates]: what may be no negative, the target itself not among it.
        out = torch.zeros(stop - start, self.candidates.shape[0], dtype=torch.bool, device=self.queries.device)
        if self.subgroups is not None:
            own = self.subgroups[start:stop]
            out[:, : len(self.subgroups)] |= self._same(own, self.subgroups)
            if self.reference_subgroups is not None:
                # The reference comes last.
                out[:, out.shape[1] - len(self.reference_subgroups) :] |= self._same(own, self.reference_subgroups)
        if self.query_ids is not None and self.ids is not None:
            # The targets come first, in the order of the queries; candidates without ids, if any, come last.
            equal = self.ids[start:stop].unsqueeze(1) == self.ids.unsqueeze(0)
            out[:, : self.ids.shape[0]] |= equal | (self.query_ids[start:stop].unsqueeze(1) == self.ids.unsqueeze(0))
        if self.guide is not None:
            closeness = prepared_similarity_matrix(self.guide.anchors[start:stop], self.guide.candidates, "cosine")
            # A comparison with the row's own entry of the same product: the target is never closer than
            # itself.
            guided = closeness > closeness.diagonal(start).unsqueeze(1)
            out[:, : guided.shape[1]] |= guided
        out.diagonal(start).fill_(False)
        return out

    def _same(self, own: Tensor, others: Tensor) -> Tensor:
        same = own.unsqueeze(1) == others.unsqueeze(0)
        return same if self.subgroups_used is None else same & self.subgroups_used

    def mean_loss(self, scale: float, metric: str) -> Tensor:
        pairs, columns = self.queries.shape[0], self.candidates.shape[0]

        def part(start: int, stop: int) -> tuple[Tensor]:
            logits = scale * prepared_similarity_matrix(self.queries[start:stop], self.candidates, metric)
            normalizers = logits.masked_fill(self.excluded(start, stop), -torch.inf).logsumexp(dim=1)
            return ((normalizers - logits.diagonal(start)).sum(),)

        (total,) = sum_over_rows(part, pairs, columns)
        return total / pairs


def multiple_negatives_ranking_loss(
    embeddings: Tensor,
    pairs: Tensor,
    subgroups: Tensor | None = None,
    *,
    scale: float = 20.0,
    metric: str = "cosine",
    symmetric: bool = False,
    negatives: Tensor | None = None,
    ids: Tensor | None = None,
    subgroups_used: bool | None = None,
    reference: Tensor | None = None,
    reference_ids: Tensor | None = None,
    reference_subgroups: Tensor | None = None,
    guide: Tensor | None = None,
    reference_guide: Tensor | None = None,
) -> Tensor:
    """Compute the mean over pairs of the cross-entropy of scale·s(a_i, ·) with target b_i.

    Candidates are all partners b of the batch, all explicit negatives and all reference embeddings. What may
    be no negative leaves the candidates: objects equal to a_i or b_i, objects of i's own subgroup where subgroups
    are in use, and objects that the guide finds closer to a_i than b_i.

    Paper: Henderson et al., Efficient Natural Language Response Suggestion, https://arxiv.org/abs/1705.00652;
    guide: Solatorio, GISTEmbed, https://arxiv.org/abs/2402.16829

    Args:
        embeddings: `[B, D]`.
        pairs: `[P, 2]` rows of the embeddings.
        subgroups: One per row of the embeddings that is in a pair.
        scale: Inverse temperature.
        metric: One of `quaterion.functional.similarity.METRICS`.
        symmetric: Add the other direction, b_i among all a, and halve the sum.
        negatives: `[M, 2]` rows of (anchor, explicit negative).
        ids: One per row of the embeddings; equal ids mark equal objects.
        subgroups_used: Whether subgroups say anything, which is so when the data set has more than one. None:
            decided by whether these tensors have more than one.
        reference: `[R, D]` further negatives, of earlier batches for example.
        reference_ids: `[R]` ids of the reference.
        reference_subgroups: `[R]` subgroups of the reference; without them no subgroup excludes a row of it.
        guide: `[B, D_guide]` the same rows as another model sees them; compared by cosine.
        reference_guide: `[R, D_guide]` the reference as that model sees it.

    Returns:
        A scalar.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> pairs = torch.tensor([[0, 2], [1, 3]])
        >>> multiple_negatives_ranking_loss(embeddings, pairs, scale=1.0)  # log(1 + 1/e)
        tensor(0.3133)
    """
    if len(pairs) == 0:
        return zero_loss(embeddings)
    prepared = prepare(embeddings, metric)
    first, second = pairs[:, 0], pairs[:, 1]
    anchors, partners = prepared.index_select(0, first), prepared.index_select(0, second)

    candidate_rows = second if negatives is None else torch.cat([second, negatives[:, 1]])
    candidates = [prepared.index_select(0, candidate_rows)]
    candidate_ids = [] if ids is None else [ids.index_select(0, candidate_rows)]
    if reference is not None:
        candidates.append(prepare(reference, metric).to(prepared.dtype))
        if ids is not None and reference_ids is not None:
            candidate_ids.append(reference_ids.to(ids.dtype))

    pair_subgroups, used = None, None
    if subgroups is not None and subgroups_used is not False:
        pair_subgroups = subgroups.index_select(0, first)
        if reference_subgroups is not None:
            reference_subgroups = reference_subgroups.to(subgroups.dtype)
        if subgroups_used is None:
            known = subgroups if reference_subgroups is None else torch.cat([subgroups, reference_subgroups])
            used = (known != known[0]).any()
    guided = None if guide is None else prepare(guide, "cosine")
    forward_guide, backward_guide = None, None
    if guided is not None:
        first_guided, candidates_guided = guided.index_select(0, first), guided.index_select(0, candidate_rows)
        backward_guide = _Guide(guided.index_select(0, second), first_guided)
        if reference_guide is not None:
            candidates_guided = torch.cat([candidates_guided, prepare(reference_guide, "cosine").to(guided.dtype)])
        forward_guide = _Guide(first_guided, candidates_guided)

    first_ids, second_ids = (None, None) if ids is None else (ids.index_select(0, first), ids.index_select(0, second))
    forward = _Ranking(
        anchors,
        torch.cat(candidates) if len(candidates) > 1 else candidates[0],
        pair_subgroups,
        reference_subgroups,
        used,
        first_ids,
        torch.cat(candidate_ids) if candidate_ids else None,
        forward_guide,
    )
    loss = forward.mean_loss(scale, metric)
    if not symmetric:
        return loss
    backward = _Ranking(
        partners,
        anchors,
        pair_subgroups,
        None,
        used,
        second_ids,
        first_ids,
        backward_guide,
    )
    return 0.5 * (loss + backward.mean_loss(scale, metric))
