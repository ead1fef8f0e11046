"""The class that a user's program subclasses: encoders, head, loss, and how they are trained."""

import inspect
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from quaterion.batch import Batch, Features, GroupTargets, PairTargets
from quaterion.cache.config import CacheConfig
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.dataset.labels import LabelIndex
from quaterion.dataset.similarity_data_loader import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityDataLoader,
)
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.functional.similarity import at_least_float32
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.train.chunks import in_chunks
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.collapse import CollapseWatch
from quaterion.train.gathering import check_slices, gather_embeddings, with_all_targets
from quaterion.train.label_indexes import DataSetLabels, LabelIndexes
from quaterion.train.learning_rate import learning_rate_factor
from quaterion.train.lightning import pl
from quaterion.train.model_card_facts import card_of_training
from quaterion.train.parameter_groups import parameter_groups
from quaterion.train.running_metrics import MetricValue, RunningMetrics
from quaterion.train.stepping import OwnSteps, logs_every_step, may_step_itself
from quaterion.train.xbm import CrossBatchMemory, XbmConfig
from quaterion.utils.enums import TrainStage
from quaterion.utils.ranks import Ranks
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead
from quaterion_models.saving.model_card import ModelCard

if TYPE_CHECKING:
    from quaterion.eval.comparison import Comparison

__all__ = ["TrainableModel"]

CHECKED_BATCHES = 4
"""How many batches of vectors are looked at for NaN on a GPU."""


class TrainableModel(pl.LightningModule, ABC):
    """A similarity model with what it takes to train it.

    Subclasses say what the model consists of in the `configure_*` hooks, and pass to `Quaterion.fit`. Attributes that
    the hooks need are set before `super().__init__()`, which calls them.

    Args:
        *args: Passed on to `LightningModule`.
        **kwargs: Passed on to `LightningModule`.

    Example:
        >>> from quaterion.loss import TripletLoss
        >>> from quaterion_models.heads import SkipConnectionHead
        >>> class Lookup(Encoder):
        ...     trainable = False
        ...     embedding_size = 4
        ...     def forward(self, batch):
        ...         return torch.nn.functional.one_hot(batch, 4).float()
        >>> class Model(TrainableModel):
        ...     def configure_encoders(self):
        ...         return Lookup()
        ...     def configure_head(self, input_embedding_size):
        ...         return SkipConnectionHead(input_embedding_size)
        ...     def configure_loss(self):
        ...         return TripletLoss()
        >>> Model().model.encode([0, 3]).shape
        (2, 4)
    """

    lr: float = 1e-3
    """Learning rate of the default optimizer."""
    weight_decay: float = 0.01
    """Weight decay of the default optimizer."""
    warmup_steps: int = 0
    """Steps over which the default optimizer's learning rate rises from 0."""
    lr_schedule: Literal["constant", "cosine"] = "constant"
    """What follows the warm-up: the same rate, or its decay to 0 along half a cosine until training ends."""
    encoder_lr: float | None = None
    """Learning rate of trained encoders in the default optimizer, of their top layers; None for `lr`."""
    layer_lr_decay: float = 1.0
    """What `encoder_lr` is multiplied by with each layer further down, in encoders of transformers."""
    chunk_size: int | None = None
    """Objects that an encoder takes at once: the loss is that of the batch, memory that of a chunk (GradCache)."""
    compile_step: bool = False
    """Whether `torch.compile` turns head and loss into one function when training starts."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG004 - the arguments are the constructor's
        """Lets modules be assigned before `super().__init__()`, as other attributes can be."""
        instance = super().__new__(cls)
        nn.Module.__init__(instance)
        return instance

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        early = dict(self.named_children())
        super().__init__(*args, **kwargs)
        for name, module in early.items():
            setattr(self, name, module)
        encoders = self.configure_encoders()
        size = SimilarityModel.get_encoders_output_size(encoders)
        self._model = SimilarityModel(encoders=encoders, head=self.configure_head(size))
        self._loss = self.configure_loss()
        metrics = self.configure_metrics() or []
        self.attached_metrics: list[AttachedMetric] = (
            [metrics] if isinstance(metrics, AttachedMetric) else list(metrics)
        )
        """The metrics of `configure_metrics`."""
        self._metrics = RunningMetrics(self.attached_metrics)
        self.embedding_stores: dict[str, EmbeddingStore] = {}
        """Cached vectors by encoder, kept between trainings of this model."""
        self.label_indexes = LabelIndexes(self._loss)
        """Classes of the labels, for each loss with class weights."""
        self._looked_at = 0
        self._own_steps: OwnSteps | None = None
        self._logs_every_step = True
        self._compiled: Callable[..., tuple[Tensor, dict[str, Tensor]]] | None = None
        self._train_loaders: list[SimilarityDataLoader[Any]] = []
        self._labels: list[DataSetLabels] = []
        self._check_restored: Callable[[], object] | None = None
        self._validation_total: tuple[Tensor | float, int] = (0.0, 0)
        self._collapse = CollapseWatch(self._loss)
        self._ranks: Ranks | None = None
        self.loss_by_source = False
        """Whether each data set is trained with the loss of its own name; `fit` sets it."""
        self._xbm_config = self.configure_xbm()
        self._memory = self._new_memory()

    @property
    def model(self) -> SimilarityModel:
        """The encoders and the head: what is saved and served."""
        return self._model

    @property
    def loss(self) -> SimilarityLoss:
        """The loss that `configure_loss` returned."""
        return self._loss

    @property
    def label_index(self) -> LabelIndex | None:
        """Classes of the labels, which all losses with class weights share; None where no loss has any.

        Where each of several data sets has a loss of its own, each has an index of its own in `label_indexes`.
        """
        return self.label_indexes.of(None)

    @property
    def ranks(self) -> Ranks:
        """The processes that train or validate this model together; all of them have to ask for the first time."""
        if self._ranks is None or self._ranks.size != self.trainer.world_size:
            self._ranks = Ranks.of_process_group() if self.trainer.world_size > 1 else Ranks()
        return self._ranks

    @property
    def has_memory(self) -> bool:
        """Whether `configure_xbm` asks for cross-batch memory."""
        return self._xbm_config is not None

    @abstractmethod
    def configure_encoders(self) -> Encoder | dict[str, Encoder]:
        """Returns the encoder, or several by name whose vectors are joined."""

    @abstractmethod
    def configure_head(self, input_embedding_size: int) -> EncoderHead:
        """Returns the head.

        Args:
            input_embedding_size: Length of the encoders' joined vectors.
        """

    @abstractmethod
    def configure_loss(self) -> SimilarityLoss:
        """Returns the loss; `self.model.head.output_size` is known by then."""

    def configure_optimizers(self) -> Any:
        """Returns AdamW over every trainable parameter of model and loss, as `lr`, `encoder_lr`, `layer_lr_decay`,
        `weight_decay`, `warmup_steps` and `lr_schedule` say.
        """  # noqa: D205
        optimizer = torch.optim.AdamW(self.default_parameter_groups(), lr=self.lr, weight_decay=self.weight_decay)
        if not self.warmup_steps and self.lr_schedule == "constant":
            return optimizer
        factor = learning_rate_factor(self.warmup_steps, self.lr_schedule, self._number_of_steps())
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def default_parameter_groups(self) -> list[dict[str, Any]]:
        """Returns all that is trained, in groups with learning rates as `configure_optimizers` has them by default."""
        return parameter_groups(
            self,
            self.model,
            lr=self.lr,
            weight_decay=self.weight_decay,
            encoder_lr=self.encoder_lr,
            layer_lr_decay=self.layer_lr_decay,
        )

    def configure_caches(self) -> CacheConfig | None:
        """Returns how the frozen encoders' vectors are cached, None for not at all."""
        return None

    def configure_metrics(self) -> AttachedMetric | Iterable[AttachedMetric]:
        """Returns metrics to compute over each epoch of training and validation."""
        return []

    def configure_xbm(self) -> XbmConfig | None:
        """Returns the configuration of cross-batch memory, None for none."""
        return None

    def process_results(
        self,
        embeddings: Tensor,
        targets: dict[str, Tensor],
        batch_idx: int,
        stage: TrainStage,
        **kwargs: Any,
    ) -> None:
        """Called after every step; does nothing unless it is overridden.

        Args:
            embeddings: `[B, D]`.
            targets: Of a group loss `groups`; of a pair loss `pairs`, `labels` and `subgroups`.
            batch_idx: Number of the batch in the epoch.
            stage: Training, validation or test.
            **kwargs: Room for what later versions pass.
        """

    def embed(self, features: Features) -> Tensor:
        """Embeddings of a batch, from cached vectors and raw inputs alike.

        Args:
            features: A batch's features.

        Returns:
            `[B, D]`.
        """
        vectors = {
            key: features.cached[key] if key in features.cached else self._run(key, features)
            for key in self.model.encoders
        }
        return self.model.embed(vectors, features.meta)

    def compute_loss(self, embeddings: Tensor, targets: GroupTargets | PairTargets) -> Tensor:
        """The loss of a batch, without cross-batch memory.

        Args:
            embeddings: `[B, D]`.
            targets: The batch's targets, groups as ids of labels.

        Returns:
            A scalar.
        """
        return self.loss.compute(embeddings, self.loss_targets(targets))

    def loss_targets(
        self, targets: GroupTargets | PairTargets, source: str | None = None
    ) -> GroupTargets | PairTargets:
        """Targets as the loss takes them: for class weights, groups become classes.

        Args:
            targets: Targets with groups as ids of labels.
            source: Name of the data set that they are from; it matters where each has a loss of its own.

        Returns:
            Targets with groups in 0..G−1, negative where unknown, if the loss has class weights; else the same.
        """
        index = self.label_indexes.of(source if self.loss_by_source else None)
        if index is None or not isinstance(targets, GroupTargets):
            return targets
        return GroupTargets(groups=index(targets.groups))

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

    def save_servable(
        self,
        path: str | PathLike[str],
        *,
        card: ModelCard | None = None,
        comparison: "Comparison | None" = None,
    ) -> None:
        """Saves encoders and head as a folder that `SimilarityModel.load` reads.

        Its model card (README.md) tells the loss, the training and its data, and the metrics.

        A loss with class weights adds them and the labels, so that `SimilarityModel.classify` works; of several such
        losses, one data set's each or not, the one that `trained_class_weights` prefers does.

        Args:
            path: The folder.
            card: What the card shall say beside or instead of that: a title, a licence, a description.
            comparison: Metrics before and after, from `quaterion.eval.compare`; without it, those logged last.
        """
        if self.label_index is not None:
            classes = trained_class_weights(self.loss, self.label_indexes)
            self.model.labels = list(self.label_index.labels if classes is None else classes.labels)
            self.model.class_weights = classes
        facts = card_of_training(self._loss, self._train_loaders, self._trainer, card=card, comparison=comparison)
        self.model.save(path, card=facts)

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

    def check_memory_device(self, device: torch.device) -> None:
        """Refuses to train where the memory cannot lie as `configure_xbm` says; `fit` calls it.

        Args:
            device: Where the model will train.

        Raises:
            ValueError: The memory is to lie on a GPU, and the model trains on something else.
        """
        if self._xbm_config is not None:
            self._xbm_config.check_device(device)

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
        self._collapse = CollapseWatch(self._loss)
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
        self._own_steps = OwnSteps(self.trainer) if may_step_itself(self, self.trainer, TrainableModel) else None
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

    def _number_of_steps(self) -> float:
        try:
            trainer = self.trainer
        except RuntimeError as error:  # no Trainer: a loop of one's own
            if self.lr_schedule != "cosine":
                return math.inf
            raise ValueError(
                "lr_schedule='cosine' needs to know the number of steps, which without a Trainer only your loop knows. "
                "Set lr_schedule='constant', and give the optimizer torch's LambdaLR with "
                "quaterion.train.learning_rate.learning_rate_factor(warmup_steps, 'cosine', total_steps)."
            ) from error
        steps = trainer.estimated_stepping_batches
        return math.inf if steps < 0 else steps  # -1: an iterable data set without a length

    def _run(self, key: str, features: Features) -> Tensor:
        inputs, rows = features.inputs[key], len(features.meta)
        run = partial(self.model.run_encoder, key)
        vectors = run(inputs) if self.chunk_size is None else in_chunks(run, inputs, rows, self.chunk_size, self.device)
        # On a GPU looking at values makes the step wait, so only the first batches are looked at there.
        if vectors.device.type == "cpu" or self._looked_at < CHECKED_BATCHES:
            self._looked_at += 1
            if not bool(torch.isfinite(vectors).all()):
                raise ValueError(
                    f"The encoder {key!r} gave NaN or infinite values; expected finite vectors. Check its weights, its "
                    "inputs and its precision."
                )
        return vectors

    def _step(self, batch: Batch, batch_idx: int, stage: TrainStage, dataloader_idx: int = 0) -> Tensor:
        logged = stage is not TrainStage.TRAIN or self._is_logged(batch_idx)
        # What is compiled are head and loss; encoders that run are left as they are.
        compiled = self._compiled if stage is TrainStage.TRAIN and not batch.features.inputs else None
        embeddings, parts = (compiled or self._head_and_loss)(batch)
        loss = self.loss.weigh(parts) if isinstance(self.loss, CombinedLoss) else parts[""]
        if stage is TrainStage.TRAIN and self._memory is not None:
            loss = loss + self._memory_loss(self._memory, embeddings, batch.targets)
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

    def _new_memory(self) -> CrossBatchMemory | None:
        if not isinstance(self._xbm_config, XbmConfig | None):
            raise TypeError(
                f"{type(self).__name__}.configure_xbm returned {self._xbm_config!r}; expected an XbmConfig, or None."
            )
        if self._xbm_config is None or self.model.head is None:
            return None
        pairs = getattr(self._loss, "target_type", None) is PairTargets
        return CrossBatchMemory(self._xbm_config, self.model.head.output_size, num_tags=2 if pairs else 1)

    def _memory_loss(
        self, memory: CrossBatchMemory, embeddings: Tensor, targets: GroupTargets | PairTargets
    ) -> Tensor | float:
        config = self._xbm_config or XbmConfig()
        targets = self.loss_targets(targets)
        value: Tensor | float = 0.0
        if len(memory) and self.global_step >= config.start_iteration:
            past, *tags = (tensor.to(embeddings.device) for tensor in memory.read())
            value = config.weight * self.loss.compute(embeddings, targets, memory=(past.to(embeddings.dtype), *tags))
        if isinstance(targets, GroupTargets):
            memory.enqueue(embeddings, targets.groups)
        else:  # partners of later anchors' rivals: the second object of each pair
            rows = targets.pairs[:, 1]
            kept = (embeddings, targets.ids, targets.subgroups)
            memory.enqueue(*(tensor.index_select(0, rows) for tensor in kept))
        return value

    def _log_metrics(self, values: Iterable[MetricValue]) -> None:
        for name, value, options in values:
            # Asked to log to no logger, Lightning warns; a metric asks by default.
            self.log(name, value, **options | {"logger": options["logger"] and bool(self.trainer.loggers)})
