"""What is searched, among what, and what is relevant; and the scores of all queries of it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quaterion.eval.base_metric import RetrievalMetric, UnscorableSetError
from quaterion.eval.scored.scored_pairs import ScoredPairs
from quaterion.functional.ranked_lists import ranked_lists
from quaterion.utils.progress import progress_bar

__all__ = ["RetrievalTask", "score_queries"]


@dataclass(frozen=True, eq=False, slots=True)
class RetrievalTask:
    """Q queries over N candidates.

    Args:
        queries: `[Q, D]`, finite.
        candidates: `[N, D]`, finite.
        relevant: Marks the candidates relevant to queries of given numbers, `[B]` to bool `[B, N]`.
        num_relevant: Relevant candidates of each query other than itself, `[Q]`.
        own_rows: Row of each query among the candidates `[Q]`, None where queries are no candidates.
        groups: Group of each query as the data set names it, Q of them, None where there are no groups.
        scored_pairs: The pairs of the data set as they are scored, None where there are no pairs.
        data: Digest of the objects and of what says which are relevant, None where it is not known: equal for equal
            data.
    """

    queries: Tensor
    candidates: Tensor
    relevant: Callable[[Tensor], Tensor]
    num_relevant: Tensor
    own_rows: Tensor | None = None
    groups: Sequence[Hashable] | None = None
    scored_pairs: ScoredPairs | None = None
    data: str | None = None

    @property
    def num_candidates(self) -> int:
        """Candidates of each query."""
        return len(self.candidates) - (self.own_rows is not None)

    def choose(self, numbers: Tensor) -> "RetrievalTask":
        """Some of the queries over all candidates.

        Args:
            numbers: Numbers of the queries, `[S]`.

        Returns:
            A task whose query i is query `numbers[i]` of this one.
        """
        return RetrievalTask(
            queries=self.queries[numbers],
            candidates=self.candidates,
            relevant=lambda queries: self.relevant(numbers[queries]),
            num_relevant=self.num_relevant[numbers],
            own_rows=None if self.own_rows is None else self.own_rows[numbers],
            groups=None if self.groups is None else [self.groups[number] for number in numbers.tolist()],
            scored_pairs=self.scored_pairs,
            data=self.data,
        )


@torch.no_grad()
def score_queries(
    task: RetrievalTask,
    metrics: Sequence[RetrievalMetric],
    *,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> list[Tensor]:
    """Scores every query by every metric; metrics of one distance share their pass over the candidates.

    Args:
        task: Queries, candidates and what is relevant.
        metrics: The metrics.
        max_entries: Bound on the entries of a block, see
            `quaterion.functional.rounded_similarity.rows_at_once`.
        log_progress: Whether to show a progress bar, on standard error.

    Returns:
        For each metric float64 `[Q]`, NaN for queries with nothing relevant.

    Raises:
        UnscorableSetError: No query has anything relevant, or a metric looks at more candidates than there
            are.
    """
    for metric in metrics:
        if metric.depth is not None and metric.depth > task.num_candidates:
            raise UnscorableSetError(
                f"{type(metric).__name__} looks at the first k={metric.depth} candidates, but each query has only "
                f"{task.num_candidates}. Use a k of at most {task.num_candidates}, or a larger set."
            )
    if not bool((task.num_relevant > 0).any()):
        raise UnscorableSetError(
            f"Not one of {len(task.queries)} queries has a relevant candidate, so there is nothing to average. "
            "Expected two objects of one group, or a pair with a score above 0: check the labels, or use more data."
        )
    scores = [task.queries.new_full((len(task.queries),), torch.nan, dtype=torch.float64) for _ in metrics]
    for distance in {metric.distance_metric_name: None for metric in metrics}:
        sharing = [place for place, metric in enumerate(metrics) if metric.distance_metric_name == distance]
        depths = [metrics[place].depth for place in sharing]
        blocks = ranked_lists(
            task.queries,
            task.candidates,
            task.relevant,
            task.num_relevant,
            metric=distance,
            depth=max((depth for depth in depths if depth is not None), default=0),
            depth_num_relevant=None in depths,
            own_rows=task.own_rows,
            max_entries=max_entries,
        )
        with progress_bar("Searching", int((task.num_relevant > 0).sum()), enabled=log_progress) as advance:
            for rows, lists in blocks:
                for place in sharing:
                    scores[place][rows] = metrics[place].score(lists)
                advance(len(rows))
    return scores
