"""The demo's model: MiniLM, frozen and cached, with a head for descriptions and one for entries."""

from pathlib import Path

import torch

from quaterion.eval import AttachedMetric
from quaterion.eval.pair import RetrievalReciprocalRank
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.trainable_model import TrainableModel
from quaterion.utils.enums import TrainStage
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EncoderHead, SkipConnectionHead, SwitchHead

__all__ = ["SearchModel"]


class SearchModel(TrainableModel):
    """Embeds descriptions and entries of the standard library so that those that belong together are close.

    Args:
        encoder_folder: Folder of the pre-trained sentence-transformers model.
        cache_folder: Where its vectors are kept between runs.
        lr: Learning rate. The heads start near the identity, behind gates that let 2 % through, so it is high.
        dropout: Share of the encoder's components that the heads do not see while they learn.
    """

    def __init__(self, encoder_folder: Path, cache_folder: Path, *, lr: float = 0.003, dropout: float = 0.1) -> None:
        self._encoder_folder = encoder_folder
        self._cache_folder = cache_folder
        self._dropout = dropout
        self.lr = lr
        super().__init__()

    def configure_encoders(self) -> SentenceTransformerEncoder:
        """The pre-trained encoder, frozen."""
        return SentenceTransformerEncoder(self._encoder_folder)

    def configure_head(self, input_embedding_size: int) -> SwitchHead:
        """Two heads, because a description and a signature are written in different languages."""
        sides: dict[str, EncoderHead] = {
            side: SkipConnectionHead(input_embedding_size, skip_dropout=self._dropout) for side in ("query", "document")
        }
        return SwitchHead(sides, input_embedding_size)

    def configure_loss(self) -> MultipleNegativesRankingLoss:
        """The entries of all other descriptions in a batch are the wrong answers to one."""
        return MultipleNegativesRankingLoss()

    def configure_caches(self) -> CacheConfig:
        """Vectors that outlive the process: a second run encodes nothing."""
        return CacheConfig(save_dir=self._cache_folder)

    def configure_metrics(self) -> AttachedMetric:
        """What chooses the best epoch."""
        metric = AttachedMetric("mrr", RetrievalReciprocalRank())
        metric.stages = [TrainStage.VALIDATION]
        return metric

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over both heads."""
        return torch.optim.AdamW(self.model.parameters(), lr=self.lr)
