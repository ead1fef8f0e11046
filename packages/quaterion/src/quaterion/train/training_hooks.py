"""What Lightning's loop calls of a model, and what the model keeps while it trains."""

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from quaterion.batch import Batch, Features, GroupTargets, PairTargets
from quaterion.dataset.similarity_data_loader import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityDataLoader,
)
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.functional.similarity import at_least_float32
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.train.collapse import CollapseWatch
from quaterion.train.gathering import check_slices, gather_embeddings, with_all_targets
from quaterion.train.label_indexes import DataSetLabels, LabelIndexes
from quaterion.train.lightning import pl
from quaterion.train.running_metrics import MetricValue, RunningMetrics
from quaterion.train.stepping import OwnSteps, logs_every_step, may_step_itself
from quaterion.train.xbm import CrossBatchMemory, XbmConfig
from quaterion.train.xbm.memory_loss import memory_loss
from quaterion.utils.enums import TrainStage
from quaterion.utils.ranks import Ranks
from quaterion_models import SimilarityModel

__all__ = ["TrainingHooks"]


class TrainingHooks(pl.LightningModule, ABC):
    """Steps and epochs of a `TrainableModel`, which says what the model consists of."""

    # What the subclass's constructor makes.
    attached_metrics: list[AttachedMetric]
    label_indexes: LabelIndexes
    loss_by_source: bool
    compile_step: bool
    _metrics: RunningMetrics
    _collapse: CollapseWatch
    _xbm_config: XbmConfig | None
    _memory: CrossBatchMemory | None

    # Of one training.
    _looked_at = 0
    _own_steps: OwnSteps | None = None
    _logs_every_step = True
    _compiled: Callable[..., tuple[Tensor, dict[str, Tensor]]] | None = None
    _train_loaders: Sequence[SimilarityDataLoader[Any]] = ()
    _labels: Sequence[DataSetLabels] = ()
    _check_restored: Callable[[], object] | None = None
    _validation_total: tuple[Tensor | float, int] = (0.0, 0)
    _ranks: Ranks | None = None

    @property
    @abstractmethod
    def model(self) -> SimilarityModel:
        """The encoders and the head."""

    @property
    @abstractmethod
    def loss(self) -> SimilarityLoss:
        """The loss."""

    @abstractmethod
    def embed(self, features: Features) -> Tensor:
        """Embeddings `[B, D]` of a batch."""

    @abstractmethod
    def compute_loss(self, embeddings: Tensor, targets: GroupTargets | PairTargets) -> Tensor:
        """The loss of a batch, without cross-batch memory."""

    @abstractmethod
    def loss_targets(
        self, targets: GroupTargets | PairTargets, source: str | None = None
    ) -> GroupTargets | PairTargets:
        """Targets as the loss takes them."""

    @abstractmethod
    def process_results(
        self, embeddings: Tensor, targets: dict[str, Tensor], batch_idx: int, stage: TrainStage, **kwargs: Any
    ) -> None:
        """Called after every step."""

    @property
    def ranks(self) -> Ranks:
        """The processes that train or validate this model together; all of them have to ask for the first time."""
        if self._ranks is None or self._ranks.size != self.trainer.world_size:
            self._ranks = Ranks.of_process_group() if self.trainer.world_size > 1 else Ranks()
        return self._ranks

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """One training step, called by Lightning; makes its own optimizer step where the Trainer needs no other."""
        if self._own_steps is None or self.automatic_optimization:
            return self._step(batch, batch_idx, TrainStage.TRAIN)
        self.automatic_optimization = True
        loss = self._step(batch, batch_idx, TrainStage.TRAIN)
        self._own_steps.step(loss)
        return {"loss": loss.detach()}

    # Lightning asks for the signature in every step; kept, it need not be worked out each time.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """One validation step, called by Lightning."""
        self._step(batch, batch_idx, TrainStage.VALIDATION, dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """One test step, called by Lightning."""
        self._step(batch, batch_idx, TrainStage.TEST, dataloader_idx)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Takes the batches of a plain loader too, as `trainer.test(model, loader)` gives them, and gives slices of a
        global batch the targets of the whole; called by Lightning.
        """  # noqa: D205
        if self.ranks.size > 1:
            check_slices(batch, self.trainer)
            return with_all_targets(batch, self.ranks)
        if isinstance(batch, Batch):
            return batch
        ids, objects, labels = batch
        pairs = labels.get("pairs")
        sides = None
        if pairs is not None and self.model.two_sided:
            sides = ["query"] * len(pairs) + ["document"] * (len(objects) - len(pairs))
        inputs = self.model.get_collate_fn()(objects, sides)
        kind = GroupSimilarityDataLoader if pairs is None else PairsSimilarityDataLoader
        whole = Batch(Features({}, inputs["data"], inputs["meta"]), kind.targets(ids, labels))
        return self.on_before_batch_transfer(whole, dataloader_idx)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Moves a batch, called by Lightning."""
        return batch.to(device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Tells Lightning's loop who makes the step, until the training step that follows."""
        if self._own_steps is not None and self._own_steps.possible:
            self.automatic_optimization = False

    def on_train_start(self) -> None:
        """Warns, by name, of parameters of the loss that the optimizers leave out."""
        held = {id(p) for one in self.trainer.optimizers for group in one.param_groups for p in group["params"]}
        left_out = [name for name, p in self.loss.named_parameters() if p.requires_grad and id(p) not in held]
        if left_out:
            warnings.warn(
                f"configure_optimizers leaves out {', '.join(left_out)} of {type(self.loss).__name__}, which therefore "
                "stay as they were drawn at random. Pass self.parameters() to the optimizer, or drop "
                "configure_optimizers to use the default.",
                stacklevel=2,
            )

    def start_training(
        self,
        loaders: list[SimilarityDataLoader[Any]],
        labels: Iterable[DataSetLabels] = (),
        *,
        check_restored: Callable[[], object] | None = None,
    ) -> None:
        """Forgets what an earlier training left behind; `fit` calls it.

        Args:
            loaders: The training data, whose samplers are told the epoch.
            labels: The training data's labels.
            check_restored: Called after a checkpoint was restored.
        """
        self._train_loaders = loaders
        self._check_restored = check_restored
        self._labels = list(labels)
        self._looked_at = 0
        self._collapse = CollapseWatch(self.loss)
        if self._memory is not None:
            self._memory.forget()
        self._metrics = RunningMetrics(self.attached_metrics)
        if self.compile_step:
            self._compiled = torch.compile(self._head_and_loss)

    def end_training(self) -> None:
        """Lets go of the Trainer; `fit` calls it, whatever ended the training."""
        if self._own_steps is not None:
            self.automatic_optimization = True
        self._own_steps = None
        self._compiled = None
        self._check_restored = None

    def on_train_end(self) -> None:
        """Lets go of the Trainer."""
        self.end_training()

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Loads a state as any module does; in `fit` the frozen encoders have to stay those that the cache is of.

        Args:
            *args: As of `torch.nn.Module`.
            **kwargs: As of `torch.nn.Module`.

        Returns:
            As of `torch.nn.Module`.
        """
        keys = super().load_state_dict(*args, **kwargs)
        if self._check_restored is not None:  # here, because the Trainer may cast the encoders after that
            self._check_restored()
        return keys

    def on_fit_start(self) -> None:
        """Takes up the training data's labels again: a checkpoint may just have brought others."""
        for labels in self._labels:
            self.label_indexes.learn(labels)

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's metrics anew, tells samplers that ask for it which epoch begins, and looks for a short way
        through its steps.
        """  # noqa: D205
        self._own_steps = OwnSteps(self.trainer) if may_step_itself(self, self.trainer, TrainingHooks) else None
        self._logs_every_step = logs_every_step(self.trainer)
        self._metrics.forget(TrainStage.TRAIN)
        for loader in self._train_loaders:
            for sampler in (loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None)):
                if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                    set_epoch(self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Starts the validation metrics anew."""
        self._metrics.forget(TrainStage.VALIDATION)
        self._collapse.start_epoch()
        self._validation_total = (0.0, 0)

    def on_test_epoch_start(self) -> None:
        """Starts the test metrics anew."""
        self._metrics.forget(TrainStage.TEST)

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's training metrics."""
        self._log_metrics(self._metrics.evaluate(TrainStage.TRAIN, self.ranks))

    def on_validation_epoch_end(self) -> None:
        """Logs the validation sets' metrics, and of several sets the mean loss over all their objects; warns once of a
        model that maps all objects to one point.
        """  # noqa: D205
        # Lightning's sanity check before training sees a few batches, which may hold no pair of equals.
        if not self.trainer.sanity_checking:
            self._log_metrics(self._metrics.evaluate(TrainStage.VALIDATION, self.ranks))
            self._collapse.end_epoch()
        loss, count = self._validation_total
        if count and len(self.trainer.num_val_batches) > 1:
            self.log("validation_loss", loss / count, prog_bar=True, sync_dist=self.ranks.size > 1)

    def on_test_epoch_end(self) -> None:
        """Logs the test sets' metrics."""
        self._log_metrics(self._metrics.evaluate(TrainStage.TEST, self.ranks))

    def _step(self, batch: Batch, batch_idx: int, stage: TrainStage, dataloader_idx: int = 0) -> Tensor:
        logged = stage is not TrainStage.TRAIN or self._is_logged(batch_idx)
        # What is compiled are head and loss; encoders that run are left as they are.
        compiled = self._compiled if stage is TrainStage.TRAIN and not batch.features.inputs else None
        embeddings, parts = (compiled or self._head_and_loss)(batch)
        loss = self.loss.weigh(parts) if isinstance(self.loss, CombinedLoss) else parts[""]
        if stage is TrainStage.TRAIN and self._memory is not None:
            targets, config = self.loss_targets(batch.targets), self._xbm_config or XbmConfig()
            loss = loss + memory_loss(self.loss, self._memory, config, embeddings, targets, step=self.global_step)
        if logged:
            # Equal in all processes, which Lightning is told of the means of an epoch.
            options: dict[str, Any] = {
                "batch_size": len(embeddings),
                "sync_dist": self.ranks.size > 1 and stage is not TrainStage.TRAIN,
            }
            for name, value in parts.items() if isinstance(self.loss, CombinedLoss) else ():
                self.log(f"{stage}_loss_{name}", value.detach(), **options)
            self.log(f"{stage}_loss", loss.detach(), prog_bar=True, **options)
        if stage is TrainStage.VALIDATION:
            total, count = self._validation_total
            self._validation_total = total + loss.detach() * len(embeddings), count + len(embeddings)
            if self.ranks.rank == 0:
                self._collapse.look(embeddings, batch.targets)
        self.process_results(
            embeddings=embeddings,
            targets=batch.targets.as_arguments(),
            batch_idx=batch_idx,
            stage=stage,
        )
        values = self._metrics.update(embeddings.detach(), batch.targets, stage, dataloader_idx, ranks=self.ranks)
        self._log_metrics(values)
        return loss

    def _is_logged(self, batch_idx: int) -> bool:
        """Whether the loss of a training step is logged: those that loggers and the end of an epoch will look at."""
        trainer: Any = self.trainer
        return (
            self._logs_every_step
            or trainer.global_step == 0
            or batch_idx + 1 == trainer.num_training_batches
            or trainer.is_last_batch
            or (trainer.global_step + 1) % (trainer.log_every_n_steps or 1) == 0
            or trainer.global_step + 1 == trainer.max_steps
        )

    def _head_and_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Embeddings of a batch, and the parts of its loss by name; a loss that is not combined is the part ""."""
        embeddings = at_least_float32(self.embed(batch.features))
        if batch.rows is not None:
            embeddings = gather_embeddings(embeddings, batch.rows, self._all_gather)
        if not isinstance(self.loss, CombinedLoss):
            return embeddings, {"": self.compute_loss(embeddings, batch.targets)}
        targets = self.loss_targets(batch.targets, batch.source)
        if self.loss_by_source and batch.source is not None:
            return embeddings, {batch.source: self.loss.loss_of(batch.source).compute(embeddings, targets)}
        return embeddings, self.loss.parts(embeddings, targets)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _all_gather(self, embeddings: Tensor) -> Tensor:
        gathered: Any = self.all_gather(embeddings, sync_grads=True)
        return gathered  # type: ignore[no-any-return]

    def _log_metrics(self, values: Iterable[MetricValue]) -> None:
        for name, value, options in values:
            # Asked to log to no logger, Lightning warns; a metric asks by default.
            self.log(name, value, **options | {"logger": options["logger"] and bool(self.trainer.loggers)})
