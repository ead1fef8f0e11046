"""The class that a user's program subclasses: encoders, head, loss, and how they are trained."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from os import PathLike
from typing import Any, Literal, Self

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
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.learning_rate import learning_rate_factor
from quaterion.train.lightning import pl
from quaterion.train.running_metrics import MetricValue, RunningMetrics
from quaterion.train.xbm import CrossBatchMemory, XbmConfig
from quaterion.utils.enums import TrainStage
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead

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
        num_groups = getattr(self._loss, "num_groups", None)
        self.label_index = None if num_groups is None else LabelIndex(num_groups)
        """Classes of the labels, for a loss with class weights."""
        self._looked_at = 0
        self._train_loaders: list[SimilarityDataLoader[Any]] = []
        self._validation_total: tuple[Tensor | float, int] = (0.0, 0)
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
        """Returns AdamW over every trainable parameter of model and loss, as `lr`, `weight_decay`, `warmup_steps` and
        `lr_schedule` say.
        """  # noqa: D205
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay)
        if not self.warmup_steps and self.lr_schedule == "constant":
            return optimizer
        factor = learning_rate_factor(self.warmup_steps, self.lr_schedule, self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

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
            key: features.cached[key] if key in features.cached else self._run(key, features.inputs[key])
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

    def loss_targets(self, targets: GroupTargets | PairTargets) -> GroupTargets | PairTargets:
        """Targets as the loss takes them: for class weights, groups become classes.

        Args:
            targets: Targets with groups as ids of labels.

        Returns:
            Targets with groups in 0..G−1, negative where unknown, if the loss has class weights; else the same.
        """
        if self.label_index is None or not isinstance(targets, GroupTargets):
            return targets
        return GroupTargets(groups=self.label_index(targets.groups))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One training step, called by Lightning."""
        return self._step(batch, batch_idx, TrainStage.TRAIN)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """One validation step, called by Lightning."""
        self._step(batch, batch_idx, TrainStage.VALIDATION, dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """One test step, called by Lightning."""
        self._step(batch, batch_idx, TrainStage.TEST, dataloader_idx)

    def save_servable(self, path: str | PathLike[str]) -> None:
        """Saves encoders and head as a folder that `SimilarityModel.load` reads.

        A loss with class weights adds them and the labels, so that `SimilarityModel.classify` works.

        Args:
            path: The folder.
        """
        if self.label_index is not None:
            self.model.labels = list(self.label_index.labels)
            self.model.class_weights = trained_class_weights(self.loss, self.label_index.labels)
        self.model.save(path)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Takes the batches of a plain loader too, as `trainer.test(model, loader)` gives them; called by Lightning."""
        if isinstance(batch, Batch):
            return batch
        ids, objects, labels = batch
        pairs = labels.get("pairs")
        sides = None
        if pairs is not None and self.model.two_sided:
            sides = ["query"] * len(pairs) + ["document"] * (len(objects) - len(pairs))
        inputs = self.model.get_collate_fn()(objects, sides)
        kind = GroupSimilarityDataLoader if pairs is None else PairsSimilarityDataLoader
        return Batch(Features({}, inputs["data"], inputs["meta"]), kind.targets(ids, labels))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Moves a batch, called by Lightning."""
        return batch.to(device)

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

    def start_training(self, loaders: list[SimilarityDataLoader[Any]]) -> None:
        """Forgets what an earlier training left behind; `fit` calls it.

        Args:
            loaders: The training data, whose samplers are told the epoch.
        """
        self._train_loaders = loaders
        self._looked_at = 0
        self._metrics = RunningMetrics(self.attached_metrics)

    def on_train_epoch_start(self) -> None:
        """Starts the epoch's metrics anew, and tells samplers that ask for it which epoch begins."""
        self._metrics.forget(TrainStage.TRAIN)
        for loader in self._train_loaders:
            for sampler in (loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None)):
                if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                    set_epoch(self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Starts the validation metrics anew."""
        self._metrics.forget(TrainStage.VALIDATION)
        self._validation_total = (0.0, 0)

    def on_test_epoch_start(self) -> None:
        """Starts the test metrics anew."""
        self._metrics.forget(TrainStage.TEST)

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's training metrics."""
        self._log_metrics(self._metrics.evaluate(TrainStage.TRAIN))

    def on_validation_epoch_end(self) -> None:
        """Logs the validation sets' metrics, and of several sets the mean loss over all their objects."""
        # Lightning's sanity check before training sees a few batches, which may hold no pair of equals.
        if not self.trainer.sanity_checking:
            self._log_metrics(self._metrics.evaluate(TrainStage.VALIDATION))
        loss, count = self._validation_total
        if count and len(self.trainer.num_val_batches) > 1:
            self.log("validation_loss", loss / count, prog_bar=True)

    def on_test_epoch_end(self) -> None:
        """Logs the test sets' metrics."""
        self._log_metrics(self._metrics.evaluate(TrainStage.TEST))

    def _run(self, key: str, inputs: Any) -> Tensor:
        vectors = self.model.run_encoder(key, inputs)
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
        embeddings = self.embed(batch.features)
        loss = self._loss_of_batch(embeddings, batch, stage)
        if stage is TrainStage.TRAIN and self._memory is not None:
            loss = loss + self._memory_loss(self._memory, embeddings, batch.targets)
        self.log(f"{stage}_loss", loss.detach(), prog_bar=True, batch_size=len(embeddings))
        if stage is TrainStage.VALIDATION:
            total, count = self._validation_total
            self._validation_total = total + loss.detach() * len(embeddings), count + len(embeddings)
        self.process_results(
            embeddings=embeddings,
            targets=batch.targets.as_arguments(),
            batch_idx=batch_idx,
            stage=stage,
        )
        self._log_metrics(self._metrics.update(embeddings.detach(), batch.targets, stage, dataloader_idx))
        return loss

    def _loss_of_batch(self, embeddings: Tensor, batch: Batch, stage: TrainStage) -> Tensor:
        if not isinstance(self.loss, CombinedLoss):
            return self.compute_loss(embeddings, batch.targets)
        targets = self.loss_targets(batch.targets)
        if self.loss_by_source and batch.source is not None:
            parts = {batch.source: self.loss.loss_of(batch.source).compute(embeddings, targets)}
        else:
            parts = self.loss.parts(embeddings, targets)
        for name, value in parts.items():
            self.log(f"{stage}_loss_{name}", value.detach(), batch_size=len(embeddings))
        return self.loss.weigh(parts)

    def _new_memory(self) -> CrossBatchMemory | None:
        if self._xbm_config is None or self.model.head is None:
            return None
        return CrossBatchMemory(self._xbm_config, self.model.head.output_size)

    def _memory_loss(
        self, memory: CrossBatchMemory, embeddings: Tensor, targets: GroupTargets | PairTargets
    ) -> Tensor | float:
        config = self._xbm_config or XbmConfig()
        targets = self.loss_targets(targets)
        value: Tensor | float = 0.0
        if len(memory) and self.global_step >= config.start_iteration:
            past, tags = (tensor.to(embeddings.device) for tensor in memory.read())
            value = config.weight * self.loss.compute(embeddings, targets, memory=(past.to(embeddings.dtype), tags))
        if isinstance(targets, GroupTargets):
            memory.enqueue(embeddings, targets.groups)
        else:  # partners of later anchors' rivals: the second object of each pair
            rows = targets.pairs[:, 1]
            memory.enqueue(embeddings.index_select(0, rows), targets.ids.index_select(0, rows))
        return value

    def _log_metrics(self, values: Iterable[MetricValue]) -> None:
        for name, value, options in values:
            # Asked to log to no logger, Lightning warns; a metric asks by default.
            self.log(name, value, **options | {"logger": options["logger"] and bool(self.trainer.loggers)})
