"""Metrics that accumulate over an epoch, apart for each stage and each validation set."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quaterion.batch import GroupTargets, PairTargets
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.pair import PairMetric
from quaterion.utils.enums import TrainStage
from quaterion.utils.ranks import Ranks

__all__ = ["MetricValue", "RunningMetrics"]


_SAME_EVERYWHERE = {"sync_dist": True, "sync_dist_group": None, "reduce_fx": "mean"}
"""Options of `LightningModule.log` for a value that all processes have: Lightning wants to be told."""


class MetricValue(NamedTuple):
    """A value to log.

    Args:
        name: Name in the logs.
        value: The value.
        options: Options of `LightningModule.log`.
    """

    name: str
    value: Tensor
    options: dict[str, Any]


class RunningMetrics:
    """Copies of the attached metrics, one for each stage and data set, so that none sees the objects of another.

    Args:
        attached: What `configure_metrics` returned.
    """

    def __init__(self, attached: Sequence[AttachedMetric]) -> None:
        self._attached = attached
        self._running: dict[tuple[TrainStage, int], list[AttachedMetric]] = {}

    def forget(self, stage: TrainStage) -> None:
        """Starts a stage anew.

        Args:
            stage: The stage.
        """
        self._running = {key: metrics for key, metrics in self._running.items() if key[0] is not stage}

    def update(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        stage: TrainStage,
        data_set: int,
        *,
        ranks: Ranks | None = None,
    ) -> list[MetricValue]:
        """Takes in a batch.

        Args:
            embeddings: `[B, D]`, detached.
            targets: The batch's targets.
            stage: The stage.
            data_set: Number of the data set.
            ranks: The processes that have the same embeddings, of which the first one keeps them.

        Returns:
            Values of this batch alone, of the metrics that want them (`on_step=True`).
        """
        key = (stage, data_set)
        if key not in self._running:
            self._running[key] = [copy.deepcopy(metric) for metric in self._attached if stage in metric.stages]
        values = []
        for metric in self._running[key]:
            arguments = targets.as_arguments()
            if isinstance(targets, PairTargets) and isinstance(metric.metric, PairMetric):
                arguments["ids"] = targets.ids  # equal objects count as one, as they do in the loss
            options = metric.log_options
            if options["on_step"]:
                name = f"{metric.name}_{stage}" + ("_step" if options["on_epoch"] else "")
                try:
                    value = metric.compute(embeddings, **arguments)
                except UnscorableSetError:
                    pass  # a batch may hold no pair of equals; the epoch will
                else:
                    values.append(MetricValue(name, value, options | {"on_epoch": False}))
            if _whole_epoch(metric) and (ranks is None or ranks.rank == 0):
                metric.update(embeddings, **arguments)
        return values

    def evaluate(self, stage: TrainStage, ranks: Ranks | None = None) -> list[MetricValue]:
        """Values over all objects of an epoch; a metric that cannot be computed is warned of and left out.

        Args:
            stage: The stage.
            ranks: The processes that train together: the first one computes the values and tells the others.

        Returns:
            Values, named by the data set where there are several.
        """
        if ranks is None or ranks.size == 1:
            return list(self._values(stage))
        values = [
            # A value is logged once, so that all ways to reduce it are one; and functions do not travel.
            one._replace(value=torch.as_tensor(one.value).cpu(), options=one.options | _SAME_EVERYWHERE)
            for one in (self._values(stage) if ranks.rank == 0 else ())
        ]
        return ranks.broadcast(values)

    def _values(self, stage: TrainStage) -> Iterator[MetricValue]:
        running = {key: metrics for key, metrics in self._running.items() if key[0] is stage}
        for (_, data_set), metrics in running.items():
            suffix = f"/dataloader_idx_{data_set}" if len(running) > 1 else ""
            for metric in filter(_whole_epoch, metrics):
                try:
                    value = metric.evaluate()
                except UnscorableSetError as error:
                    warnings.warn(f"The metric {metric.name!r} is not logged for {stage}: {error}", stacklevel=2)
                    continue
                options = metric.log_options | {"on_step": False, "on_epoch": True, "add_dataloader_idx": False}
                yield MetricValue(f"{metric.name}_{stage}{suffix}", value, options)


def _whole_epoch(metric: AttachedMetric) -> bool:
    """Whether a metric is wanted over all objects of an epoch: yes, unless it is asked for by step only."""
    on_epoch = metric.log_options["on_epoch"]
    return not metric.log_options["on_step"] if on_epoch is None else bool(on_epoch)
