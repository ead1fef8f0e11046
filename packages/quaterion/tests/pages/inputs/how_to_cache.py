"""docs/how-to/cache.md: a model with a filled cache, and one whose vectors come from elsewhere."""

from pathlib import Path

import torch

from quaterion import TrainableModel
from quaterion.cache import CacheConfig, EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import SupConLoss
from quaterion.train import prepare_batches
from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import SkipConnectionHead


class Model(TrainableModel):
    cache = CacheConfig(save_dir="vectors")

    def configure_encoders(self):
        return VectorEncoder(4)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return SupConLoss()

    def configure_caches(self):
        return self.cache


class Uncached(Model):
    cache = None


def prepare(run):
    vectors = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    objects = [tuple(row) for row in vectors.tolist()]
    loader = GroupSimilarityDataLoader(
        [SimilarityGroupSample(row, n % 3) for n, row in enumerate(objects)], batch_size=6
    )
    prepare_batches(Model(), loader)
    (store,) = [path.name for path in Path("vectors").iterdir() if path.is_dir()]
    run.replace["vectors STORE"] = f"vectors {store}"
    model = Uncached()
    encoder = model.model.encoders["default"]
    run.names |= {"CacheConfig": CacheConfig, "EmbeddingStore": EmbeddingStore, "prepare_batches": prepare_batches}
    run.names |= {"model": model, "encoder": encoder, "texts": objects, "vectors": vectors, "loader": loader}


def check(run):
    assert run.names["configure_caches"](None).save_dir is not None
    assert len(run.answers) == 5 and "12" in run.answers[0]
    assert not [path for path in Path("vectors").iterdir() if path.is_dir()]  # the last command removed it
    assert SimilarityModel.load("model").encode(run.names["texts"]).shape == (12, 4)
    assert len(run.names["store"]) == 12
