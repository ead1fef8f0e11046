"""Trains one model after the other, alone or as one of several processes, and writes down what each run gave.

Called with a folder and a number of processes. Global batches have 12 samples, whatever that number.
"""

import itertools
import os
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

from quaterion import Quaterion
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    MultiSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import RetrievalPrecision
from quaterion.eval.pair import RetrievalReciprocalRank
from quaterion.loss import (
    ArcFaceLoss,
    CombinedLoss,
    DistillationLoss,
    GuidedNegatives,
    MultipleNegativesRankingLoss,
    TripletLoss,
)
from quaterion.train import TrainableModel
from quaterion.train.cache import CacheConfig
from quaterion.train.xbm import XbmConfig
from quaterion_models.encoders import Encoder
from quaterion_models.heads import SkipConnectionHead

GLOBAL_BATCH = 12


class Linear(Encoder):
    """A layer that notes which objects it has encoded."""

    def __init__(self, *, trainable=False, seed=0):
        super().__init__()
        self.layer = nn.Linear(4, 8, bias=False)
        self.layer.weight.data = torch.randn(8, 4, generator=torch.Generator().manual_seed(seed))
        self.layer.weight.requires_grad = self._trainable = trainable
        self.encoded = []

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return 8

    def fingerprint(self):
        return f"linear-{float(self.layer.weight.sum())}"

    def get_collate_fn(self):
        return torch.tensor

    def forward(self, batch):
        self.encoded += map(tuple, batch.tolist())
        return self.layer(batch)


class Model(TrainableModel):
    def __init__(self, loss, *, caches=None, metric=None, xbm=None, trainable=False):
        self.parts = loss, caches, metric, xbm
        self.encoder = [Linear(trainable=trainable)]
        super().__init__()
        self.lr = 1e-2
        self.losses, self.gradients = [], []

    def configure_encoders(self):
        return self.encoder[0]

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return self.parts[0]

    def configure_caches(self):
        return self.parts[1]

    def configure_metrics(self):
        return [] if self.parts[2] is None else AttachedMetric("metric", self.parts[2])

    def configure_xbm(self):
        return self.parts[3]

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.losses.append(float(loss.detach() if isinstance(loss, torch.Tensor) else loss["loss"]))
        return loss

    def on_before_optimizer_step(self, optimizer):
        self.gradients.append([p.grad.clone() for p in self.parameters() if p.grad is not None])


def numbers(count, seed):
    return [tuple(row) for row in torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)).tolist()]


def groups(count, seed=0):
    return [SimilarityGroupSample(obj, f"group {i % 3}") for i, obj in enumerate(numbers(count, seed))]


def pairs(count, seed=0):
    objects = numbers(4 * count, seed)
    return [
        SimilarityPairSample(objects[i], objects[i + count], negatives=objects[2 * (i + count) :][: i % 3], subgroup=i)
        for i in range(count)
    ]


def scenarios(world, folder):
    size = GLOBAL_BATCH // world
    group_loader = lambda **how: GroupSimilarityDataLoader(groups(26), batch_size=size, **how)  # noqa: E731
    pair_loader = lambda **how: PairsSimilarityDataLoader(pairs(25), batch_size=size, shuffle=True, **how)  # noqa: E731
    held_out = GroupSimilarityDataLoader(groups(17, seed=5), batch_size=size)
    held_out_pairs = PairsSimilarityDataLoader(pairs(17, seed=5), batch_size=size)
    cached = CacheConfig()
    on_disk = CacheConfig(save_dir=folder / "vectors", cache_type="disk")
    composed = GroupSimilarityDataLoader(groups(26), groups_per_batch=3, samples_per_group=4)
    several = {"a": GroupSimilarityDataLoader(groups(14, seed=2), batch_size=size), "b": group_loader(shuffle=True)}
    yield "triplet", Model(TripletLoss(), metric=RetrievalPrecision(k=1)), group_loader(shuffle=True), held_out
    yield "triplet, cached", Model(TripletLoss(), caches=cached), group_loader(shuffle=True), held_out
    yield "triplet, trained encoder", Model(TripletLoss(), trainable=True), group_loader(num_workers=1), held_out
    yield "P x K, cached", Model(TripletLoss(), caches=cached), composed, None
    yield "MNRL", Model(MultipleNegativesRankingLoss()), pair_loader(), held_out_pairs
    yield (
        "MNRL, on disk",
        Model(MultipleNegativesRankingLoss(), caches=on_disk, metric=RetrievalReciprocalRank()),
        pair_loader(),
        held_out_pairs,
    )
    yield "ArcFace", Model(ArcFaceLoss(8, 3), trainable=True), group_loader(), held_out
    yield "ArcFace, cached", Model(ArcFaceLoss(8, 3), caches=cached), group_loader(shuffle=True), held_out
    memory = XbmConfig(buffer_size=20, start_iteration=1)
    yield "XBM", Model(TripletLoss(), xbm=memory), group_loader(shuffle=True), None
    yield "XBM, cached", Model(MultipleNegativesRankingLoss(), caches=cached, xbm=memory), pair_loader(), None
    guided = CombinedLoss(
        {
            "ranking": (GuidedNegatives(MultipleNegativesRankingLoss(), Linear(seed=8)), 1.0),
            "teacher": (DistillationLoss(Linear(seed=9)), 0.5),
        }
    )
    yield "teachers", Model(guided, caches=cached), pair_loader(), held_out_pairs
    yield "several data sets", Model(TripletLoss(), caches=cached), MultiSimilarityDataLoader(several), held_out


def main(folder, world):
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    results = {}
    rank = int(os.environ.get("LOCAL_RANK", 0))
    runs = scenarios(world, folder)
    for number in itertools.count():
        seed = number + 1000 * rank  # nobody has seeded the processes alike
        torch.manual_seed(seed)
        name, model, loader, validation = next(runs, (None,) * 4)
        if name is None:
            break
        trainer = pl.Trainer(
            accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto", max_epochs=2,
            enable_progress_bar=False, enable_model_summary=False, logger=False, enable_checkpointing=False,
            default_root_dir=folder, num_sanity_val_steps=0,
        )  # fmt: skip
        torch.manual_seed(seed)
        Quaterion.fit(model, trainer, loader, validation)
        results[name] = {
            "losses": model.losses,
            "gradients": model.gradients,
            "weights": [p.detach() for p in model.parameters()],
            "logged": {key: float(value) for key, value in trainer.callback_metrics.items()},
            "memory": None if model._memory is None else [one.clone() for one in model._memory.read()],
            "encoded": model.encoder[0].encoded,
        }
    torch.save(results, folder / f"{world}-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
