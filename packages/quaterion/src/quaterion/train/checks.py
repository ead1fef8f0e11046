"""What must hold before a training starts."""

from collections.abc import Mapping
from typing import Any

import torch

from quaterion.batch import GroupTargets, PairTargets
from quaterion.dataset.similarity_data_loader import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityDataLoader,
)
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.train.trainable_model import TrainableModel

__all__ = ["check_loader", "check_model", "check_training_targets", "loss_of_each"]


_LOADERS: dict[Any, type[SimilarityDataLoader[Any]]] = {
    GroupTargets: GroupSimilarityDataLoader,
    PairTargets: PairsSimilarityDataLoader,
}


def check_model(model: Any) -> None:
    """Refuses a model that cannot be trained.

    Args:
        model: What the user passed.

    Raises:
        TypeError: It is no `TrainableModel`.
        ValueError: It has no head, no loss or nothing to train, sizes do not fit, or the loss cannot use the
            configured memory.
    """
    if not isinstance(model, TrainableModel):
        raise TypeError(f"Quaterion.fit got a {type(model).__name__}; expected a TrainableModel.")
    name = type(model).__name__
    if model.model.head is None:
        raise ValueError(f"{name}.configure_head returned None; expected an EncoderHead, such as EmptyHead.")
    if model.loss is None:
        raise ValueError(f"{name}.configure_loss returned None; expected a loss from quaterion.loss.")
    model.model.check_sizes()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{name} has nothing to train: neither its encoders, nor its {type(model.model.head).__name__}, nor its "
            f"{type(model.loss).__name__} has a parameter with a gradient. Choose a head with parameters, such as "
            "SkipConnectionHead, or make an encoder trainable."
        )
    if model.has_memory and not model.loss.supports_memory:
        raise ValueError(
            f"{name}.configure_xbm asks for cross-batch memory, which {type(model.loss).__name__} cannot use. "
            "Choose a loss that compares objects with each other, such as TripletLoss, or drop configure_xbm."
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
        ValueError: Validation data have no name that the losses know.
    """
    loss = model.loss
    model.loss_by_source = by_source and isinstance(loss, CombinedLoss) and set(train) <= set(loss.names)
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
    """
    target_type = getattr(loss, "target_type", None)  # a combination may take both kinds
    expected = _LOADERS.get(target_type, SimilarityDataLoader)
    if not isinstance(loader, expected):
        raise TypeError(
            f"Quaterion.fit got {role}={type(loader).__name__}, but {type(loss).__name__} takes the batches of a "
            f"{expected.__name__}. Use that loader, or a loss of the other kind."
        )


def check_training_targets(targets: GroupTargets | PairTargets) -> None:
    """Refuses training data from which nothing can be learned.

    Args:
        targets: Targets of the whole training set.

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
    if len(groups) == 1:
        raise ValueError(
            f"All {len(targets.groups)} samples of the training set belong to one group ({int(groups[0])}). Expected "
            "at least two groups, because a loss compares objects of one group with objects of others."
        )
    if int(counts.max()) == 1:
        raise ValueError(
            f"Each of the {len(groups)} groups of the training set has one object. Expected groups with two objects or "
            "more, because a loss compares objects of one group with each other."
        )
