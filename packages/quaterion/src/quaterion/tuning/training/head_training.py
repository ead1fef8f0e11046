"""Training one head over encoded samples: the loop alone, with no Trainer around it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from quaterion.loss import SimilarityLoss
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.label_indexes import DataSetLabels, LabelIndexes
from quaterion.train.learning_rate import learning_rate_factor
from quaterion.tuning.training.recipe import Recipe
from quaterion.tuning.training.vectors import EncodedSamples, joined
from quaterion_models.class_weights import ClassWeights
from quaterion_models.heads import EmptyHead, EncoderHead

__all__ = ["TrainedHead", "train_head"]


@dataclass(frozen=True)
class TrainedHead:
    """What a training leaves.

    Args:
        head: The head, in eval mode.
        class_weights: Class weights, where the loss has some.
    """

    head: EncoderHead
    class_weights: ClassWeights | None


def untouched_head(size: int) -> TrainedHead:
    """The head that leaves vectors as they are.

    Args:
        size: Length of the vectors.
    """
    return TrainedHead(EmptyHead(size).eval(), None)


def train_head(
    recipe: Recipe,
    samples: EncodedSamples,
    *,
    size: int,
    device: torch.device,
    check_time: Callable[[], object] = lambda: None,
) -> TrainedHead:
    """Trains a head, with the weights, batches and dropout masks that `Quaterion.fit` has with the same seed.

    Args:
        recipe: What to train, and how.
        samples: What to learn from.
        size: Length of the encoders' joined vectors.
        device: Where to train.
        check_time: Called after each step; it may raise to stop the training.

    Returns:
        The head, and class weights.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        head = recipe.build_head(size)
        if not recipe.losses:
            return TrainedHead(head.eval().to(device), None)
        groups = None
        num_groups = 0
        if _has_groups(samples):
            num_groups = len(torch.unique(samples.groups))
        loss = recipe.build_loss(embedding_size=head.output_size, num_groups=max(1, num_groups))
        indexes = LabelIndexes(loss)
        index = indexes.of(None)
        if index is not None:
            indexes.learn(DataSetLabels(None, torch.unique(samples.groups), samples.label_names))
            groups = index(samples.groups)
        head.to(device).train()
        loss.to(device).train()
        _run(recipe, head, loss, samples, groups, device, check_time)
        return TrainedHead(head.eval(), trained_class_weights(loss, indexes) if index is not None else None)


def _run(
    recipe: Recipe,
    head: EncoderHead,
    loss: SimilarityLoss,
    samples: EncodedSamples,
    groups: torch.Tensor | None,
    device: torch.device,
    check_time: Callable[[], object],
) -> None:
    batches = samples.batches(recipe.batch_size, groups=groups)
    parameters = [*head.parameters(), *loss.parameters()]
    if not parameters:
        return
    steps = recipe.epochs * len(batches)
    # One fused kernel for all parameters: a third of the time of a step goes to the optimizer otherwise.
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    factor = learning_rate_factor(warmup_steps(recipe, steps), "cosine", steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(recipe.epochs):
        for batch in batches:
            embeddings = head(joined(batch, device), batch.features.meta)
            value = loss.compute(embeddings, batch.targets.to(device))
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            check_time()


def warmup_steps(recipe: Recipe, steps: int) -> int:
    """Steps over which the learning rate rises.

    Args:
        recipe: The recipe.
        steps: All steps of the training.
    """
    return min(int(recipe.warmup * steps), steps - 1)


def _has_groups(samples: EncodedSamples) -> bool:
    return hasattr(samples.table, "groups")
