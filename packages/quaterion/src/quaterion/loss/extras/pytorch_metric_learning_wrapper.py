"""Losses and miners of pytorch-metric-learning."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quaterion.functional.reduce import zero_loss
from quaterion.functional.similarity import at_least_float32
from quaterion.loss.group_loss import GroupLoss

__all__ = ["PytorchMetricLearningWrapper"]

_WITHOUT_GROUPS = ("ManifoldLoss", "SelfSupervisedLoss", "VICRegLoss")


class PytorchMetricLearningWrapper(GroupLoss):
    """Use a loss of pytorch-metric-learning, with a miner of that library if wanted, as a loss over groups.

    The library is installed with `pip install "quaterion[pml]"`. Its losses run in at least float32, whatever autocast
    says. They wait for the GPU in each step and cannot be compiled, which the losses of `quaterion.loss` avoid.

    Args:
        loss: One of `pytorch_metric_learning.losses`, except the few that learn without labels.
        miner: One of `pytorch_metric_learning.miners`.

    Attributes:
        num_groups: The loss's number of classes, where it has class weights; rows with group −1 are then left out.

    Raises:
        TypeError: If the loss or miner is no module, or the loss learns without labels.

    Example:
        >>> from pytorch_metric_learning import losses, miners
        >>> loss = PytorchMetricLearningWrapper(losses.TripletMarginLoss(), miners.BatchHardMiner())
        >>> loss(torch.eye(4), torch.tensor([0, 0, 1, 1])).shape
        torch.Size([])
    """

    def __init__(self, loss: Callable[..., Any], miner: Callable[..., Any] | None = None) -> None:
        super().__init__()
        for role, part in (("loss", loss), ("miner", miner)):
            if part is not None and not isinstance(part, nn.Module):
                raise TypeError(
                    f"{role} must be an object of pytorch_metric_learning, got {part!r}: build it first, for example "
                    "PytorchMetricLearningWrapper(losses.TripletMarginLoss(), miners.BatchHardMiner())"
                )
        if type(loss).__name__ in _WITHOUT_GROUPS:
            raise TypeError(
                f"{type(loss).__name__} learns without groups, from views or neighbours of the objects: choose a loss "
                "that takes labels, or pairs with MultipleNegativesRankingLoss"
            )
        self.loss = loss
        self.miner = miner
        # A container, such as MultipleLosses, may hold several: the groups must fit each of them.
        self.num_groups = min((count for count, _ in _classifiers(loss)), default=None)
        self._takes_reference = self._try_reference()

    @property
    def supports_memory(self) -> bool:
        """Whether the loss and the miner take reference embeddings."""
        return self._takes_reference

    @property
    def class_vectors(self) -> Tensor | None:
        """`[G·k, D]` class weights of the loss, or of the first with some in a container; None without."""
        vectors = (_class_vectors(module) for _, module in _classifiers(self.loss))
        return next((found for found in vectors if found is not None), None)

    def _try_reference(self) -> bool:
        # Which losses of the library take a reference is written nowhere but in what they raise: a copy is tried, now,
        # because some cannot be copied once they have been used.
        groups, vectors = torch.tensor([0, 0, 1, 1]), torch.eye(4, 8)
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                twin = copy.deepcopy(self).cpu()
                twin(vectors, groups, reference=vectors.flip(0), reference_groups=groups.flip(0))
        except (AssertionError, AttributeError, IndexError, TypeError, ValueError, RuntimeError):
            return False
        return True

    def forward(
        self,
        embeddings: Tensor,
        groups: Tensor,
        *,
        reference: Tensor | None = None,
        reference_groups: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            embeddings: `[B, D]`.
            groups: `[B]`.
            reference: `[M, D]` candidates instead of the batch itself, where the loss can compare with some.
            reference_groups: `[M]` groups of the candidates.

        Returns:
            A scalar.
        """
        rows = at_least_float32(embeddings)
        if self.num_groups is not None:
            known = groups >= 0
            rows, groups = rows[known], groups[known]
        if len(rows) == 0 or (reference is not None and len(reference) == 0):
            return zero_loss(embeddings)
        memory: dict[str, Tensor] = {}
        if reference is not None and reference_groups is not None:
            memory = {"ref_emb": reference.to(rows.dtype), "ref_labels": reference_groups}
        with torch.autocast(rows.device.type, enabled=False):
            mined = None if self.miner is None else self.miner(rows, groups, **memory)
            value: Tensor = self.loss(rows, groups, mined, **memory)
        return value


def _classifiers(loss: Any) -> list[tuple[int, nn.Module]]:
    """The loss's modules that know classes, and how many."""
    counts = ((_num_classes(module), module) for module in loss.modules())
    return [(count, module) for count, module in counts if count is not None]


def _class_vectors(module: nn.Module) -> Tensor | None:
    proxies = getattr(module, "proxies", None)
    if isinstance(proxies, Tensor):
        return proxies
    # [D, G·k] elsewhere.
    weights = (getattr(module, name, None) for name in ("W", "fc", "weight"))
    return next((weight.T for weight in weights if isinstance(weight, Tensor)), None)


def _num_classes(loss: nn.Module) -> int | None:
    proxies, weight, beta = (getattr(loss, name, None) for name in ("proxies", "W", "beta"))
    count = getattr(loss, "num_classes", None)
    if isinstance(count, int) and count > 0:
        return count
    if isinstance(proxies, Tensor):
        return proxies.shape[0]
    if isinstance(weight, Tensor):
        return weight.shape[1]
    # MarginLoss may have a boundary per class.
    return beta.numel() if isinstance(beta, Tensor) and beta.numel() > 1 else None
