"""The class that a user's program subclasses: encoders, head, loss, and how they are trained."""

from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from quaterion.batch import Features, GroupTargets, PairTargets
from quaterion.cache.config import CacheConfig
from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.dataset.labels import LabelIndex
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.loss import SimilarityLoss
from quaterion.train.chunks import in_chunks
from quaterion.train.class_weights import trained_class_weights
from quaterion.train.collapse import CollapseWatch
from quaterion.train.default_optimizer import default_optimizer, default_parameter_groups
from quaterion.train.label_indexes import LabelIndexes
from quaterion.train.model_card_facts import card_of_training
from quaterion.train.running_metrics import RunningMetrics
from quaterion.train.training_hooks import TrainingHooks
from quaterion.train.xbm import CrossBatchMemory, XbmConfig
from quaterion.utils.enums import TrainStage
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EncoderHead
from quaterion_models.saving.model_card import ModelCard

if TYPE_CHECKING:
    from quaterion.eval.comparison import Comparison

__all__ = ["TrainableModel"]

CHECKED_BATCHES = 4
"""How many batches of vectors are looked at for NaN on a GPU."""


class TrainableModel(TrainingHooks):
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
        self._collapse = CollapseWatch(self._loss)
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
        return default_optimizer(self)

    def default_parameter_groups(self) -> list[dict[str, Any]]:
        """Returns all that is trained, in groups with learning rates as `configure_optimizers` has them by default."""
        return default_parameter_groups(self)

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

    def check_memory_device(self, device: torch.device) -> None:
        """Refuses to train where the memory cannot lie as `configure_xbm` says; `fit` calls it.

        Args:
            device: Where the model will train.

        Raises:
            ValueError: The memory is to lie on a GPU, and the model trains on something else.
        """
        if self._xbm_config is not None:
            self._xbm_config.check_device(device)

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

    def _new_memory(self) -> CrossBatchMemory | None:
        if not isinstance(self._xbm_config, XbmConfig | None):
            raise TypeError(
                f"{type(self).__name__}.configure_xbm returned {self._xbm_config!r}; expected an XbmConfig, or None."
            )
        if self._xbm_config is None or self.model.head is None:
            return None
        pairs = getattr(self._loss, "target_type", None) is PairTargets
        return CrossBatchMemory(self._xbm_config, self.model.head.output_size, num_tags=2 if pairs else 1)
