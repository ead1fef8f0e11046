"""Test objects that the training set holds too, word for word or nearly so."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quaterion.eval.tasks import checked_embeddings
from quaterion.functional.similarity import similarity
from quaterion.functional.topk import top_k
from quaterion.utils.numbers import is_number
from quaterion.utils.progress import progress_bar

__all__ = ["NearDuplicates", "near_duplicates"]

ROUNDING = 1e-6
"""How far below the threshold a cosine of float32 vectors may come out that equals it."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Test objects that have leaked from the training set: exact copies first, then the most similar first.

    Args:
        test_rows: Rows of the test embeddings, int64 `[L]`, none twice.
        train_rows: Row of the training object that each is a copy of, or else of the nearest one, int64 `[L]`.
        similarity: Cosine of both, `[L]`.
        exact: Whether both have the same id, bool `[L]`.
        num_test: Number of test objects.
    """

    test_rows: Tensor
    train_rows: Tensor
    similarity: Tensor
    exact: Tensor
    num_test: int

    def __len__(self) -> int:
        return len(self.test_rows)

    @property
    def share(self) -> float:
        """Share of the test objects that have leaked."""
        return len(self) / self.num_test


@torch.no_grad()
def near_duplicates(
    train_embeddings: Tensor,
    test_embeddings: Tensor,
    threshold: float = 0.98,
    *,
    train_ids: Tensor | Sequence[int] | None = None,
    test_ids: Tensor | Sequence[int] | None = None,
    max_entries: int | None = None,
    log_progress: bool = False,
) -> NearDuplicates:
    """Finds test objects that are near-duplicates of a training object, or exact copies.

    Args:
        train_embeddings: `[N, D]`.
        test_embeddings: `[M, D]`.
        threshold: Cosine from which on two objects count as near-duplicates.
        train_ids: Content of each training object, `[N]`, such as its `quaterion_models.content_key.content_id`:
            objects of equal ids are exact copies, whatever their embeddings.
        test_ids: Content of each test object, `[M]`.
        max_entries: Bound on the similarities held at once.
        log_progress: Whether to show a progress bar of the search, on standard error.

    Returns:
        One entry for each such test object.

    Raises:
        ValueError: Shapes do not fit, an embedding is not finite, a set is empty, the threshold is no cosine, or
            there are ids for one set only.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> leaked = near_duplicates(train, torch.tensor([[1.0, 1.0], [0.05, 1.0]]))
        >>> leaked.test_rows.tolist(), leaked.train_rows.tolist(), leaked.share
        ([1], [1], 0.5)
    """
    if not is_number(threshold) or not -1 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r}; expected a cosine in [-1, 1], such as 0.98.")
    train, test = checked_embeddings(train_embeddings), checked_embeddings(test_embeddings)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"Training embeddings are of size {train.shape[1]}, test embeddings of size {test.shape[1]}; expected "
            "embeddings of one model."
        )
    with progress_bar("Searching", len(test), enabled=log_progress) as advance:
        found = top_k(test, train, 1, max_entries=max_entries, advance=advance)
    rows, values = found.rows.squeeze(1).cpu(), found.similarities.squeeze(1).cpu()
    exact = torch.zeros(len(test), dtype=torch.bool)
    if (train_ids is None) != (test_ids is None):
        raise ValueError("There are ids for one of the sets only; expected train_ids and test_ids, or neither.")
    if train_ids is not None and test_ids is not None:
        copies = _copies(_checked_ids(train_ids, len(train), "train"), _checked_ids(test_ids, len(test), "test"))
        exact = copies >= 0
        rows = copies.where(exact, rows)
        copied = exact.nonzero().squeeze(1)
        own = similarity(test[copied.to(test.device)], train[rows[copied].to(train.device)])
        values[copied] = own.to(values)
    leaked = (exact | (values >= threshold - ROUNDING)).nonzero().squeeze(1)
    order = leaked[values[leaked].argsort(descending=True, stable=True)]
    order = order[exact[order].long().argsort(descending=True, stable=True)]
    return NearDuplicates(order, rows[order], values[order], exact[order], num_test=len(test))


def _checked_ids(ids: Tensor | Sequence[int], count: int, name: str) -> Tensor:
    ids = torch.as_tensor(ids).cpu()
    if ids.shape != (count,) or ids.is_floating_point():
        raise ValueError(
            f"{name}_ids has the shape {tuple(ids.shape)} and the type {ids.dtype}; expected an integer for each "
            f"{name} embedding, [{count}]."
        )
    return ids.long()


def _copies(train_ids: Tensor, test_ids: Tensor) -> Tensor:
    """First training row of the same id as each test row, −1 where there is none."""
    ordered, rows = train_ids.sort(stable=True)
    place = torch.searchsorted(ordered, test_ids).clamp(max=len(ordered) - 1)
    return rows[place].where(ordered[place] == test_ids, -1)
