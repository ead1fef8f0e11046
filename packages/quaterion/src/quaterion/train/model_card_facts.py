"""What a trained model knows of its training, for its model card."""

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from quaterion.dataset.similarity_data_loader import GroupSimilarityDataLoader
from quaterion.train.lightning import pl
from quaterion.utils.enums import TrainStage
from quaterion_models.saving.model_card import CardData, CardMetric, ModelCard

if TYPE_CHECKING:
    from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
    from quaterion.eval.comparison import Comparison
    from quaterion.loss import SimilarityLoss

__all__ = ["card_of_training", "metrics_of_comparison"]


def card_of_training(
    loss: "SimilarityLoss | None",
    loaders: "Iterable[SimilarityDataLoader[Any]]",
    trainer: pl.Trainer | None,
    *,
    card: ModelCard | None = None,
    comparison: "Comparison | None" = None,
) -> ModelCard:
    """Fills what a program leaves open in a model card.

    Args:
        loss: The loss.
        loaders: The training data.
        trainer: The Trainer of the last training, None where there was none.
        card: What the program says itself; it goes before what is found.
        comparison: Measured before and after.

    Returns:
        The card: the loss with its hyper-parameters, the data, the training, and the metrics, which are those of the
        comparison, or else those that training logged last.
    """
    card = card or ModelCard()
    trained = trainer is not None and trainer.global_step > 0
    loaders = list(loaders) if trained else []
    if not card.metrics:
        if comparison is not None:
            card = replace(
                card,
                metrics=metrics_of_comparison(comparison),
                metrics_note=card.metrics_note or f"{comparison.basis} {comparison.summary}",
            )
        elif trainer is not None and trained:
            card = replace(card, metrics=_logged_metrics(trainer))
    return replace(
        card,
        loss=card.loss or ("" if loss is None else type(loss).__name__),
        loss_parameters=card.loss_parameters or ({} if loss is None else loss.get_config_dict()),
        data=card.data or [_data(loader) for loader in loaders],
        training=card.training or (_training(trainer, loaders) if trainer is not None and trained else {}),
    )


def metrics_of_comparison(comparison: "Comparison") -> list[CardMetric]:
    """Metrics before and after, with their intervals.

    Args:
        comparison: What `quaterion.eval.compare` gave.
    """
    return [
        CardMetric(
            name=row.name,
            value=row.after.value,
            interval=(row.after.low, row.after.high),
            before=row.before.value,
            before_interval=(row.before.low, row.before.high),
        )
        for row in comparison.rows
    ]


def _logged_metrics(trainer: pl.Trainer) -> list[CardMetric]:
    metrics = []
    for name, value in trainer.callback_metrics.items():
        for stage in (TrainStage.VALIDATION, TrainStage.TEST):
            if name.endswith(f"_{stage}") or name.startswith(f"{stage}_loss"):
                short = "loss" if name.startswith(f"{stage}_loss") else name.removesuffix(f"_{stage}")
                metrics.append(CardMetric(name=short, value=float(value), data=f"{stage} data"))
    return metrics


def _data(loader: "SimilarityDataLoader[Any]") -> CardData:
    dataset = loader.dataset
    form = "objects with groups" if isinstance(loader, GroupSimilarityDataLoader) else "pairs"
    size = len(dataset) if hasattr(dataset, "__len__") else None
    name = getattr(dataset, "name", None)
    return CardData(name=name if isinstance(name, str) else type(dataset).__name__, size=size, form=form)


def _training(trainer: pl.Trainer, loaders: "list[SimilarityDataLoader[Any]]") -> dict[str, Any]:
    facts: dict[str, Any] = {"epochs": trainer.current_epoch, "steps": trainer.global_step}
    sizes = [loader.batch_size for loader in loaders if loader.batch_size is not None]
    if sizes:
        facts["batch size"] = ", ".join(map(str, sizes))
    optimizers = []
    for optimizer in trainer.optimizers:
        defaults = optimizer.defaults
        shown = [f"{name} {defaults[name]}" for name in ("lr", "weight_decay") if name in defaults]
        optimizers.append(", ".join([type(optimizer).__name__, *shown]))
    if optimizers:
        facts["optimizer"] = "; ".join(optimizers)
    if "train_loss" in trainer.callback_metrics:
        facts["last training loss"] = f"{float(trainer.callback_metrics['train_loss']):.4g}"
    for name in ("quaterion", "torch"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            continue
    return facts
