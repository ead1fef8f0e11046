"""Vectors of another model, looked up by the objects' ids."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TeacherVectors", "VectorTable"]


class VectorTable(nn.Module):
    """One fixed vector per object id, moved with the loss and left out of its saved state.

    Args:
        ids: `[N]` int64, as in `PairTargets.ids`; of equal ids the first counts.
        vectors: `[N, D]`.

    Raises:
        ValueError: If the sizes differ.

    Example:
        >>> table = VectorTable(torch.tensor([7, -3]), torch.tensor([[1.0], [2.0]]))
        >>> table(torch.tensor([-3, 7, 7])).flatten()
        tensor([2., 1., 1.])
    """

    ids: Tensor
    vectors: Tensor

    def __init__(self, ids: Tensor, vectors: Tensor) -> None:
        super().__init__()
        if ids.ndim != 1 or vectors.ndim != 2 or len(ids) != len(vectors) or len(ids) == 0:
            raise ValueError(
                f"a vector table needs N ids and N vectors, N at least 1, got shapes {tuple(ids.shape)} and "
                f"{tuple(vectors.shape)}: pass ids [N] and vectors [N, D]"
            )
        order = ids.argsort(stable=True)
        self.register_buffer("ids", ids[order].contiguous(), persistent=False)
        self.register_buffer("vectors", vectors.detach()[order], persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up vectors; an unknown id gets that of another object, which `missing` finds beforehand.

        Args:
            ids: `[n]` int64.

        Returns:
            `[n, D]`.
        """
        return self.vectors.index_select(0, self._rows(ids))

    def missing(self, ids: Tensor) -> Tensor:
        """Return those of the ids that the table does not hold."""
        return ids[self.ids[self._rows(ids)] != ids]

    def _rows(self, ids: Tensor) -> Tensor:
        return torch.searchsorted(self.ids, ids.contiguous()).clamp(max=len(self.ids) - 1)


class TeacherVectors(nn.Module):
    """The place where a loss finds another model's vectors: a table, or what a table can be made of.

    Training looks for these among the loss's modules, and binds those that are not `bound` with the vectors that the
    `source`, an embedding store or an encoder, has for the training data.

    Args:
        source: A `VectorTable`, or whatever training can take vectors from.
        role: The argument's name, for messages.

    Attributes:
        source: As passed; an encoder does not become a part of the loss.
        table: The vectors, once bound.
    """

    source: Any

    def __init__(self, source: Any, role: str) -> None:
        super().__init__()
        if source is None or isinstance(source, Tensor):
            raise TypeError(
                f"{role} must be a VectorTable, an embedding store or an encoder, got {type(source).__name__}: "
                "wrap vectors as VectorTable(ids, vectors)"
            )
        # Past nn.Module: an encoder must not become a child, with parameters to train and to save.
        self.__dict__["source"] = source
        self.role = role
        self.table: VectorTable | None = source if isinstance(source, VectorTable) else None

    @property
    def bound(self) -> bool:
        """Whether vectors can be looked up."""
        return self.table is not None

    def bind(self, table: VectorTable) -> None:
        """Set where vectors are looked up.

        Args:
            table: Vectors of every object in the training data.
        """
        self.table = table

    def forward(self, ids: Tensor | None) -> Tensor:
        """Look up the vectors of a batch.

        Args:
            ids: `[n]` int64.

        Returns:
            `[n, D]`.

        Raises:
            ValueError: If there are no ids, or no vectors yet.
        """
        if self.table is None:
            raise ValueError(
                f"the {self.role} has no vectors yet: training binds them when it starts; for a call of your own pass "
                f"{self.role}=VectorTable(ids, vectors), or the batch's vectors as {self.role}_embeddings"
            )
        if ids is None or ids.numel() == 0:
            raise ValueError(f"the {self.role}'s vectors are looked up by ids: pass ids, or {self.role}_embeddings")
        return self.table(ids)  # type: ignore[no-any-return]

    def check_ids(self, ids: Tensor) -> None:
        """Refuse a data set with objects that the table does not know, where there is a table.

        Args:
            ids: All ids of the data set.

        Raises:
            ValueError: If one is unknown.
        """
        missing = ids[:0] if self.table is None else self.table.missing(ids)
        if len(missing):
            raise ValueError(
                f"the {self.role} has no vector for {len(missing)} of {len(ids)} objects of the data, the first with "
                f"id {int(missing[0])}: fill its table from the same data set"
            )
