"""Trains a head over vectors of two groups, saves the model, and exports it."""

import json
from pathlib import Path

import torch

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import VectorEncoder
from quaterion_models.export import export_onnx
from quaterion_models.heads import SkipConnectionHead


class Groups(TrainableModel):
    lr = 0.05

    def configure_encoders(self):
        return VectorEncoder(8)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return SupConLoss()

    def configure_caches(self):
        return CacheConfig(save_dir="cache")


def main():
    torch.manual_seed(0)
    centres = torch.randn(2, 8)
    vectors = (centres.repeat(16, 1) + 2 * torch.randn(32, 8)).tolist()
    samples = [SimilarityGroupSample(vector, position % 2) for position, vector in enumerate(vectors)]
    model = Groups()
    Quaterion.fit(model, None, GroupSimilarityDataLoader(samples, batch_size=32))
    model.save_servable("model")
    export_onnx(model.model, "exported")
    objects = {"vectors": vectors, "embeddings": model.model.encode(vectors).tolist()}
    Path("objects.json").write_text(json.dumps(objects))


if __name__ == "__main__":
    main()
