"""What must hold before a training starts."""

import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from quaterion.batch import GroupTargets, PairTargets
from quaterion.cache.config import CacheConfig
from quaterion.dataset.raw_collate import has_own_collate
from quaterion.dataset.similarity_data_loader import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityDataLoader,
)
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import GroupMetric
from quaterion.eval.pair import PairMetric
from quaterion.eval.scored import ScoredPairMetric
from quaterion.loss import CombinedLoss, MatryoshkaLoss, SimilarityLoss
from quaterion.loss.extras import PytorchMetricLearningWrapper
from quaterion.train.chunks import check_chunk_size
from quaterion.train.default_optimizer import default_parameter_groups
from quaterion.train.label_indexes import losses_by_name
from quaterion.train.learning_rate import learning_rate_factor
from quaterion.train.lightning import pl
from quaterion.train.teachers import check_teachers
from quaterion.train.trainable_model import TrainableModel

__all__ = [
    "check_loader",
    "check_model",
    "check_trainer_fits",
    "check_training_targets",
    "loss_of_each",
]


def _shown(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else f"{type(value).__name__}(...)"


_LOADERS: dict[Any, type[SimilarityDataLoader[Any]]] = {
    GroupTargets: GroupSimilarityDataLoader,
    PairTargets: PairsSimilarityDataLoader,
}


def check_model(model: Any) -> None:
    """Refuses a model that cannot be trained.

    Args:
        model: What the user passed.

    Raises:
        TypeError: It is no `TrainableModel`, or its loss cannot use the configured memory.
        ValueError: It has no head, no loss or nothing to train, or sizes do not fit.
    """
    if not isinstance(model, TrainableModel):
        raise TypeError(f"Quaterion.fit got a {type(model).__name__}; expected a TrainableModel.")
    name = type(model).__name__
    if model.model.head is None:
        raise ValueError(f"{name}.configure_head returned None; expected an EncoderHead, such as EmptyHead.")
    if model.loss is None:
        raise ValueError(f"{name}.configure_loss returned None; expected a loss from quaterion.loss.")
    if not isinstance(model.loss, SimilarityLoss):
        raise TypeError(
            f"{name}.configure_loss returned {_shown(model.loss)}; expected a loss object, such as TripletLoss()."
        )
    caches = model.configure_caches()
    if caches is not None and not isinstance(caches, CacheConfig):
        raise TypeError(f"{name}.configure_caches returned {_shown(caches)}; expected a CacheConfig, or None.")
    check_chunk_size(model.chunk_size)
    check_metrics(model)
    model.model.check_sizes()
    _check_sizes(model.loss, model.model.head.output_size)
    check_teachers(model.loss)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{name} has nothing to train: neither its encoders, nor its {type(model.model.head).__name__}, nor its "
            f"{type(model.loss).__name__} has a parameter with a gradient. Choose a head with parameters, such as "
            "SkipConnectionHead, or make an encoder trainable."
        )
    if model.has_memory:
        model.loss.check_memory()


def _check_sizes(loss: SimilarityLoss, size: int) -> None:
    """Refuses a loss whose parts are made for embeddings of another size than the head's."""
    for module in loss.modules():
        name = type(module).__name__
        if isinstance(module, MatryoshkaLoss):
            if max(module.dims) > size:
                raise ValueError(
                    f"{name} got dims={list(module.dims)}, but the head gives embeddings of size {size}. Leave the "
                    "longer slices out, or choose a wider head."
                )
            for wrapper in module.modules():
                for part, weight in _weights_with_a_column_per_class(wrapper):
                    raise ValueError(
                        f"{name} cannot cut the weights of pytorch-metric-learning's {part}, which have the shape "
                        f"{list(weight.shape)}. Expected class weights with a row for each group: use ArcFaceLoss, "
                        "SoftmaxLoss or another one of quaterion.loss."
                    )
        for part, expected in _sizes(module):
            if expected != size:
                raise ValueError(
                    f"{part} is made for embeddings of size {expected}, but the head gives {size}. Build it with "
                    "embedding_size=self.model.head.output_size in configure_loss."
                )


def _sizes(module: Any) -> Iterator[tuple[str, int]]:
    """The sizes of embeddings that a loss declares, or that its weights show."""
    size = getattr(module, "embedding_size", None) if isinstance(module, SimilarityLoss) else None
    if isinstance(size, int):
        yield type(module).__name__, size
    for part, weight in _weights_with_a_column_per_class(module):
        yield part, weight.shape[0]
    for part, proxies in _weights(module, "proxies"):
        yield part, proxies.shape[1]


def _weights_with_a_column_per_class(module: Any) -> Iterator[tuple[str, Tensor]]:
    yield from _weights(module, "W", "fc", "weight")


def _weights(wrapper: Any, *names: str) -> Iterator[tuple[str, Tensor]]:
    """Matrices of these names in a loss of pytorch-metric-learning, which names no embedding size."""
    if not isinstance(wrapper, PytorchMetricLearningWrapper):
        return
    for module in wrapper.modules():
        for name in names:
            weight = getattr(module, name, None)
            if isinstance(weight, Tensor) and weight.ndim == 2:
                yield type(module).__name__, weight


def check_trainer_fits(model: TrainableModel, trainer: pl.Trainer) -> None:
    """Refuses a Trainer that lacks what the model's settings need.

    Args:
        model: The model.
        trainer: Its Trainer.

    Raises:
        ValueError: The memory wants a GPU, or the default optimizer has a rate that is none, layers that it does not
            know, a schedule that is none or needs an end, or a precision in which it cannot work.
    """
    model.check_memory_device(trainer.strategy.root_device)
    configure = getattr(model.configure_optimizers, "__func__", None)
    if configure is TrainableModel.configure_optimizers:
        default_parameter_groups(model)  # refuses rates that it cannot have
        if trainer.precision == "16-true":
            raise ValueError(
                "The Trainer has precision='16-true', which keeps weights in float16, where the epsilon of AdamW is 0 "
                "and makes them NaN. Use '16-mixed' or 'bf16-true', or an optimizer of your own (configure_optimizers)."
            )
        # As Lightning will: without any limit it takes a number of epochs, with a limit of time alone none.
        callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
        timed = trainer.max_epochs is None and any(isinstance(one, pl.callbacks.Timer) for one in callbacks)
        endless = trainer.max_steps == -1 and (trainer.max_epochs == -1 or timed)
        learning_rate_factor(model.warmup_steps, model.lr_schedule, math.inf if endless else sys.maxsize)


def check_metrics(model: TrainableModel) -> None:
    """Refuses metrics that cannot be computed from what the model's loss is trained on.

    Args:
        model: The model.

    Raises:
        TypeError: A metric is not attached, or is of the other kind.
    """
    target_type = getattr(model.loss, "target_type", None)
    kinds: dict[Any, Any] = {GroupTargets: PairMetric | ScoredPairMetric, PairTargets: GroupMetric}
    unfit = kinds.get(target_type, ())
    for attached in model.attached_metrics:
        if not isinstance(attached, AttachedMetric):
            raise TypeError(
                f"{type(model).__name__}.configure_metrics returned {_shown(attached)}; expected "
                f'AttachedMetric("name", {_shown(attached)}).'
            )
        metric = attached.metric
        if isinstance(metric, unfit):
            raise TypeError(
                f"The metric {attached.name!r} is {type(metric).__module__}.{type(metric).__name__}, but "
                f"{type(model.loss).__name__} is trained on the other kind of data. Take it from "
                f"quaterion.eval.{'group' if target_type is GroupTargets else 'pair'}."
            )


def loss_of_each(
    model: TrainableModel, train: Mapping[str, Any], validation: Mapping[str, Any], *, by_source: bool
) -> dict[str, SimilarityLoss]:
    """The loss of each data set: its own where a `CombinedLoss` has losses by the names of the data sets.

    Args:
        model: The model; whether each data set has its own loss is noted in it.
        train: Training loaders by name.
        validation: Validation loaders by name.
        by_source: Whether the training is on named data sets.

    Returns:
        Losses by the names of both.

    Raises:
        ValueError: The names of losses and data sets match in part, losses of both kinds lack data sets of their own,
            or the data sets would share a memory.
    """
    loss = model.loss
    if by_source and model.has_memory:
        raise ValueError(
            "configure_xbm asks for cross-batch memory, which would mix the objects of several data sets. Drop "
            "configure_xbm, or train on one data set."
        )
    names = set(loss.names) if isinstance(loss, CombinedLoss) and by_source else set()
    if names & set(train) and names != set(train):
        raise ValueError(
            f"The losses of the CombinedLoss are named {sorted(names)}, and the training sets {sorted(train)}. "
            "Expected equal names, so that each data set is trained with its own loss, or no name in common, so that "
            "all are trained with all the losses: rename one or the other."
        )
    model.loss_by_source = names == set(train)
    if isinstance(loss, CombinedLoss) and not model.loss_by_source and not hasattr(loss, "target_type"):
        kinds = {name: _LOADERS[part.target_type].__name__ for name, part in losses_by_name(loss).items()}
        given = f"data sets named {sorted(train)}" if by_source else "one data set"
        raise ValueError(
            f"The losses of the CombinedLoss take different kinds of data, but the training is on {given}. Expected a "
            "MultiSimilarityDataLoader with a loader for each loss, by its name: "
            f"{', '.join(f'{name!r}: {kind}' for name, kind in kinds.items())}."
        )
    if not model.loss_by_source or not isinstance(loss, CombinedLoss):
        return dict.fromkeys([*train, *validation], loss)
    unknown = sorted(set(validation) - set(loss.names))
    if unknown:
        raise ValueError(
            f"Each data set is trained with its own loss ({', '.join(loss.names)}), but the validation data are named "
            f"{unknown}. Pass val_dataloader as a dictionary with names of the losses."
        )
    return {name: loss.loss_of(name) for name in [*train, *validation]}


def check_loader(loss: SimilarityLoss, loader: Any, role: str) -> None:
    """Refuses a loader that does not give what a loss takes.

    Args:
        loss: The loss.
        loader: What the user passed.
        role: "train_dataloader" or "val_dataloader", for the message.

    Raises:
        TypeError: The loader is of another kind.
        ValueError: It gives no batches, or labels that cannot be known before training, which class weights need.
    """
    target_type = getattr(loss, "target_type", None)  # a combination may take both kinds
    expected = _LOADERS.get(target_type, SimilarityDataLoader)
    if not isinstance(loader, expected):
        raise TypeError(
            f"Quaterion.fit got {role}={type(loader).__name__}, but {type(loss).__name__} takes the batches of a "
            f"{expected.__name__}. Use that loader, or a loss of the other kind."
        )
    if loader.batch_size is None and loader.batch_sampler is None:
        raise ValueError(f"{role} has batch_size=None; expected batches: give it a batch_size.")
    if not isinstance(loader.dataset, IterableDataset) and len(loader) == 0:
        raise ValueError(
            f"{role} gives no batch: batch_size={loader.batch_size} and "
            f"drop_last={loader.drop_last}. Choose a smaller batch, or keep the last one."
        )
    own_collate = has_own_collate(type(loader), loader.collate_fn)
    if role != "val_dataloader" and loss.num_groups is not None and not own_collate:
        raise ValueError(
            f"{role} has a collate function of its own, which may give any labels, but {type(loss).__name__} needs all "
            "labels of the data before training, to give each a row of its class weights. Do in the data set what the "
            "function does, and leave collate_fn out."
        )
    if role == "train_dataloader" and loader.batch_size == 1 and loss.num_groups is None:
        warnings.warn(
            f"train_dataloader has batch_size=1, the default of a DataLoader, but {type(loss).__name__} compares the "
            "objects of a batch with each other. Choose a larger batch: with cached vectors hundreds cost little.",
            stacklevel=3,
        )


def check_training_targets(
    targets: GroupTargets | PairTargets, names: Mapping[int, Any], *, compares: bool = True
) -> None:
    """Refuses training data from which nothing can be learned.

    Args:
        targets: Targets of the whole training set.
        names: The label behind each group, for messages.
        compares: Whether the loss compares objects with each other, not with class weights.

    Raises:
        ValueError: There is one sample only, one group only, or no group with two objects.
    """
    if isinstance(targets, PairTargets):
        if len(targets.pairs) < 2 and not len(targets.negatives):
            raise ValueError(
                "The training set has one pair. Expected at least two: a single pair has nothing to be compared with."
            )
        return
    groups, counts = torch.unique(targets.groups, return_counts=True)
    if len(targets.groups) == 1:
        raise ValueError("The training set has one sample. Expected at least two groups with two objects or more.")
    one = int(groups[0])
    if len(groups) == 1:
        raise ValueError(
            f"All {len(targets.groups)} samples of the training set belong to one group ({names.get(one, one)!r}). "
            "Expected at least two groups, because a loss compares objects of one group with objects of others."
        )
    if compares and int(counts.max()) == 1:
        raise ValueError(
            f"Each of the {len(groups)} groups of the training set has one object. Expected groups with two objects or "
            "more, because a loss compares objects of one group with each other."
        )
