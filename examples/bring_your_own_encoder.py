"""An encoder of one's own, for handwritten digits: frozen, cached, and with a head trained on it.

The images are those that scikit-learn brings along: pip install quaterion scikit-learn
"""

import tempfile
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.eval import Evaluator
from quaterion.eval.group import RetrievalRPrecision
from quaterion.eval.samplers import GroupSampler
from quaterion.loss import SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.heads import EmptyHead, WideningHead


def stack_images(images: list[np.ndarray]) -> Tensor:
    """Images `[8, 8]` with values of 0 to 16 as one tensor `[B, 1, 8, 8]`."""
    for position, image in enumerate(images):
        if np.shape(image) != (8, 8):
            raise ValueError(f"object {position} of the batch must be an image [8, 8], got {np.shape(image)}")
    return torch.from_numpy(np.stack(images)).float()[:, None] / 16


class StrokeDirections(Encoder):
    """For each cell of a grid, how much of an image's gradient points in each direction."""

    def __init__(self, cells: int = 4, directions: int = 8) -> None:
        super().__init__()
        self.cells = cells
        angles = torch.arange(directions) * (2 * torch.pi / directions)
        self.register_buffer("directions", torch.stack([angles.cos(), angles.sin()], dim=1))

    @property
    def trainable(self) -> bool:
        return False

    @property
    def embedding_size(self) -> int:
        return self.cells**2 * len(self.directions)

    def get_collate_fn(self):
        return stack_images

    def forward(self, batch: Tensor) -> Tensor:
        padded = F.pad(batch, (1, 1, 1, 1))  # [B, 1, 10, 10]
        right = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        gradient = torch.cat([right, down], dim=1)  # [B, 2, 8, 8]
        strength = torch.einsum("bghw,dg->bdhw", gradient, self.directions).relu()
        cells = F.adaptive_avg_pool2d(strength, self.cells)  # [B, directions, cells, cells]
        return F.normalize(cells.flatten(1), dim=1)


class Digits(TrainableModel):
    lr = 0.003

    def __init__(self, cache_folder: Path) -> None:
        self.cache_folder = cache_folder
        super().__init__()

    def configure_encoders(self):
        return StrokeDirections()

    def configure_head(self, input_embedding_size):
        return WideningHead(input_embedding_size)

    def configure_loss(self):
        return SupConLoss()

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache_folder)


def r_precision(model: SimilarityModel, samples: list[SimilarityGroupSample]) -> float:
    """Of the n images nearest to one whose digit n others show, how many show it; averaged over all images."""
    evaluator = Evaluator(RetrievalRPrecision(), GroupSampler(log_progress=False))
    return float(Quaterion.evaluate(evaluator, samples, model)["RetrievalRPrecision"])


def main(folder: Path) -> None:
    torch.manual_seed(0)
    digits = load_digits()
    samples = [
        SimilarityGroupSample(image, int(digit)) for image, digit in zip(digits.images, digits.target, strict=True)
    ]
    training, held_out = samples[:1200], samples[1200:]

    before = r_precision(SimilarityModel(StrokeDirections(), EmptyHead(128)), held_out)

    model = Digits(folder / "vectors")
    trainer = pl.Trainer(max_epochs=30, logger=False, enable_checkpointing=False)
    Quaterion.fit(model, trainer, GroupSimilarityDataLoader(training, batch_size=400, shuffle=True))
    after = r_precision(model.model, held_out)
    print(f"R-precision on {len(held_out)} held-out images: {before:.3f} before, {after:.3f} after")

    model.save_servable(folder / "model")
    loaded = SimilarityModel.load(folder / "model", classes=[StrokeDirections])
    vectors = loaded.encode([sample.obj for sample in held_out[:3]], normalize=True)
    for other in (1, 2):
        similarity = vectors[0] @ vectors[other]
        print(f"Similarity of a {held_out[0].group} and a {held_out[other].group}: {similarity:.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
