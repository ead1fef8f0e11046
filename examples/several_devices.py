"""Trains a head with two processes on the CPU, whose negatives are those of the whole batch."""

import pytorch_lightning as pl
import torch

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import CallableEncoder
from quaterion_models.heads import SkipConnectionHead


def letters(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[text.count(chr(ord("a") + i)) for i in range(26)] for text in texts], dtype=torch.float32)


class Model(TrainableModel):
    def configure_encoders(self):
        return CallableEncoder(letters, embedding_size=26, version="1")

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return MultipleNegativesRankingLoss()

    def configure_caches(self):
        return CacheConfig()


def main() -> None:
    words = "alpha bravo delta echo golf hotel india kilo lima mike oscar papa".split()  # noqa: SIM905
    pairs = [SimilarityPairSample(word, word[::-1] + word[0], subgroup=word) for word in words]
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=5, logger=False, enable_checkpointing=False
    )
    model = Model()
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(pairs, batch_size=4, shuffle=True))
    if trainer.is_global_zero:
        model.save_servable("letters")


if __name__ == "__main__":
    main()
