"""A metric, the name it is logged under, and how."""

from typing import Any

from quaterion.utils.enums import TrainStage

__all__ = ["AttachedMetric"]


class AttachedMetric:
    """A metric that is computed and logged during training; return it from `configure_metrics`.

    What this class does not know is passed on to the metric, so that `attached.compute(...)` or `attached.k`
    work.

    Args:
        name: Name in the logs, followed by the stage: `name_train`, `name_validation`.
        metric: Any object with `update`, `evaluate`, `compute` and `reset`.
        logger: Whether the value goes to the Trainer's logger.
        prog_bar: Whether it is shown in the progress bar.
        on_step: Log the value of each batch on its own. None leaves it to Lightning.
        on_epoch: Log the value over all objects of an epoch. None leaves it to Lightning.
        **log_options: Other options of `LightningModule.log`.

    Attributes:
        name: As given.
        metric: As given.
        stages: Stages in which the metric is computed: train and validation. Change the list to change them.
        log_options: All options of `LightningModule.log`.

    Raises:
        TypeError: The name is no text, or the metric is a class.

    Example:
        >>> from quaterion.eval.group import RetrievalPrecision
        >>> attached = AttachedMetric("precision", RetrievalPrecision(k=3), prog_bar=True)
        >>> attached.k, attached.log_options["prog_bar"], [str(stage) for stage in attached.stages]
        (3, True, ['train', 'validation'])
    """

    def __init__(
        self,
        name: str,
        metric: Any,
        logger: bool = True,
        prog_bar: bool = False,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        **log_options: Any,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"The name of a metric is {name!r}; expected a text, such as 'precision_at_1'.")
        if isinstance(metric, type):
            raise TypeError(
                f"The metric {name!r} is the class {metric.__name__}; expected an object: {metric.__name__}()."
            )
        self.name = name
        self.metric = metric
        self.stages = [TrainStage.TRAIN, TrainStage.VALIDATION]
        self.log_options: dict[str, Any] = {
            "logger": logger,
            "prog_bar": prog_bar,
            "on_step": on_step,
            "on_epoch": on_epoch,
            **log_options,
        }

    def __getattr__(self, attribute: str) -> Any:
        # Only called for what is not found here. Copying and unpickling ask before there is a metric, and
        # special methods of the metric are not this object's.
        if attribute == "metric" or (attribute.startswith("__") and attribute.endswith("__")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")
        try:
            return getattr(self.metric, attribute)
        except AttributeError as error:
            raise AttributeError(
                f"neither {type(self).__name__!r} nor its metric {type(self.metric).__name__!r} "
                f"has an attribute {attribute!r}"
            ) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, metric={self.metric!r})"
