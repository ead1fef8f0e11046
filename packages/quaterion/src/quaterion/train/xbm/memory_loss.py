"""The loss of a batch against the embeddings of earlier ones."""

from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.loss import SimilarityLoss
from quaterion.train.xbm.config import XbmConfig
from quaterion.train.xbm.memory import CrossBatchMemory

__all__ = ["memory_loss"]


def memory_loss(
    loss: SimilarityLoss,
    memory: CrossBatchMemory,
    config: XbmConfig,
    embeddings: Tensor,
    targets: GroupTargets | PairTargets,
    *,
    step: int,
) -> Tensor | float:
    """Computes the weighted loss against the memory, and then puts the batch into it.

    Args:
        loss: The loss.
        memory: The memory.
        config: Its configuration.
        embeddings: `[B, D]`.
        targets: The batch's targets as the loss takes them.
        step: Optimizer steps that were made.

    Returns:
        A scalar; 0.0 where the memory is empty or does not count yet.
    """
    value: Tensor | float = 0.0
    if len(memory) and step >= config.start_iteration:
        past, *tags = (tensor.to(embeddings.device) for tensor in memory.read())
        value = config.weight * loss.compute(embeddings, targets, memory=(past.to(embeddings.dtype), *tags))
    if isinstance(targets, GroupTargets):
        memory.enqueue(embeddings, targets.groups)
    else:  # partners of later anchors' rivals: the second object of each pair
        rows = targets.pairs[:, 1]
        kept = (embeddings, targets.ids, targets.subgroups)
        memory.enqueue(*(tensor.index_select(0, rows) for tensor in kept))
    return value
