"""Matryoshka loss: embeddings that can be cut."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss.checks import check_count, check_is_loss, check_positive
from quaterion.loss.similarity_loss import SimilarityLoss

__all__ = ["MatryoshkaLoss"]


class MatryoshkaLoss(SimilarityLoss):
    """Apply a loss to leading slices of the embedding and add up, so that a short slice can serve on its own.

    Class weights, and whatever parameter of the loss has as many columns as the embedding, are cut alike.

    Differences to sentence-transformers: its `MatryoshkaLoss` normalises each slice, so that the two agree where the
    loss compares by cosine and differ with other distances. Its weights also default to 1.

    Paper: Kusupati et al., Matryoshka Representation Learning, https://arxiv.org/abs/2205.13147

    Args:
        loss: Any loss, over groups or pairs.
        dims: Lengths of the slices; include the whole embedding's to train that too.
        weights: One per slice, above 0; 1 where omitted.

    Raises:
        TypeError: If the loss is none.
        ValueError: If the loss is a combination over groups and pairs, there is no slice, a length is no whole number
            of at least 1 or appears twice, or the weights are not one per slice.

    Example:
        >>> from quaterion.loss import TripletLoss
        >>> embeddings = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
        >>> loss = MatryoshkaLoss(TripletLoss(margin=0.5), dims=[2, 1])
        >>> loss(embeddings, torch.tensor([0, 0, 1, 1]))  # 0.5 − (1 − √½), and 0.5 where all are alike
        tensor(0.7071)
    """

    _sliced: "_Sliced"

    def __init__(self, loss: SimilarityLoss, dims: Sequence[int], weights: Sequence[float] | None = None) -> None:
        check_is_loss("MatryoshkaLoss(loss)", loss)
        if not hasattr(loss, "target_type"):
            raise ValueError(
                "MatryoshkaLoss got a CombinedLoss over groups and over pairs, which take no batch in common. "
                "Wrap each of them: CombinedLoss({name: (MatryoshkaLoss(loss, dims), weight), ...})"
            )
        super().__init__(loss.distance_metric_name)
        self.dims = tuple(check_count("dims", size) for size in dims)
        if not self.dims or len(set(self.dims)) < len(self.dims):
            raise ValueError(f"dims must hold one or more different lengths, got {list(dims)!r}")
        chosen = [1.0] * len(self.dims) if weights is None else list(weights)
        if len(chosen) != len(self.dims):
            raise ValueError(f"got {len(chosen)} weights for {len(self.dims)} dims: pass one for each, or none")
        self.weights = tuple(check_positive("weights", weight) for weight in chosen)
        self.loss = loss
        self.target_type = loss.target_type
        self.num_groups = loss.num_groups
        # Past nn.Module, so that the loss is one child and its parameters have one name.
        self.__dict__["_sliced"] = _Sliced(loss)

    @property
    def supports_memory(self) -> bool:
        """Whether the wrapped loss can compare a batch with the embeddings of earlier ones."""
        return self.loss.supports_memory

    def forward(self, embeddings: Tensor, *args: Any, reference: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Compute the loss of a batch, with the arguments of the wrapped loss.

        Args:
            embeddings: `[B, D]`, D at least the largest of `dims`.
            *args: As the wrapped loss takes them.
            reference: `[M, D]` candidates, where the wrapped loss takes some.
            **kwargs: As the wrapped loss takes them.

        Returns:
            A scalar.

        Raises:
            ValueError: If the embedding is shorter than a slice.
        """
        self._check_size(embeddings)
        total = embeddings.new_zeros((), dtype=torch.promote_types(embeddings.dtype, torch.float32))
        for size, weight in zip(self.dims, self.weights, strict=True):
            if reference is not None:
                kwargs["reference"] = reference[:, :size]
            total = total + weight * self._call(size, embeddings, None, args, kwargs)
        return total

    def compute(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Compute the loss of a batch from its targets.

        Args:
            embeddings: `[B, D]`.
            targets: Targets of the same rows.
            memory: Embeddings `[M, D]` of earlier batches and their tags, where the wrapped loss takes them.

        Returns:
            A scalar.
        """
        self._check_size(embeddings)
        total = embeddings.new_zeros((), dtype=torch.promote_types(embeddings.dtype, torch.float32))
        for size, weight in zip(self.dims, self.weights, strict=True):
            kept = None if memory is None else (memory[0][:, :size], *memory[1:])
            total = total + weight * self._call(size, embeddings, targets, (), {"memory": kept})
        return total

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the values of a whole data set's targets as the wrapped loss does."""
        self.loss.check_targets(targets)

    def _check_size(self, embeddings: Tensor) -> None:
        if embeddings.shape[1] < max(self.dims):
            raise ValueError(
                f"the embedding has {embeddings.shape[1]} components, but dims asks for {max(self.dims)}: "
                "leave the longer slices out, or widen the head"
            )

    def _call(
        self,
        size: int,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Tensor:
        sliced = embeddings[:, :size]
        cut = {
            f"loss.{name}": parameter[:, :size]
            for name, parameter in self.loss.named_parameters()
            if parameter.ndim == 2 and parameter.shape[1] == embeddings.shape[1]
        }
        if not cut:
            return self._sliced(sliced, targets, args, kwargs)  # type: ignore[no-any-return]
        return torch.func.functional_call(self._sliced, cut, (sliced, targets, args, kwargs))  # type: ignore[no-any-return]


class _Sliced(nn.Module):
    """Calls a loss either way, so that its parameters can be replaced for the call."""

    def __init__(self, loss: SimilarityLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Tensor:
        if targets is not None:
            return self.loss.compute(embeddings, targets, **kwargs)
        return self.loss(embeddings, *args, **kwargs)  # type: ignore[no-any-return]
