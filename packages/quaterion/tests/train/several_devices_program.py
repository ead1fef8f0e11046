"""Trains one model after the other, alone and as one of several processes, and writes down what each run gave.

Called with a folder. Global batches have 12 samples, whatever the number of processes.
"""

import os
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from several_devices_processes import run_processes
from torch import nn
from torch.utils.data import IterableDataset

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
from quaterion_models.encoders import Encoder, SwitchEncoder
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


class BySign(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "positive" if record[0] > 0 else "negative"


class Model(TrainableModel):
    def __init__(self, loss, *, caches=None, metric=None, xbm=None, trainable=False, chunk_size=None, encoder=None):
        self.parts = loss, caches, metric, xbm
        self.encoder = [encoder or Linear(trainable=trainable)]
        super().__init__()
        self.lr, self.chunk_size = 1e-2, chunk_size
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


class Stream(IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


class Augmented:
    """Pairs whose objects are others in each read."""

    def __len__(self):
        return 25

    def __getitem__(self, index):
        return SimilarityPairSample(*(tuple(row) for row in torch.randn(2, 4).tolist()))


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


def make_trainer(world, **options):
    return pl.Trainer(
        **{
            "accelerator": "cpu", "devices": world, "strategy": "ddp" if world > 1 else "auto", "max_epochs": 2,
            "enable_progress_bar": False, "enable_model_summary": False, "logger": False,
            "enable_checkpointing": False, "num_sanity_val_steps": 0,
        } | options
    )  # fmt: skip


def scenarios(world, folder):
    """Trainings by name: model, data, validation data, and what else the Trainer is told."""
    size = GLOBAL_BATCH // world
    group_loader = lambda **how: GroupSimilarityDataLoader(groups(26), batch_size=size, **how)  # noqa: E731
    pair_loader = lambda **how: PairsSimilarityDataLoader(pairs(25), batch_size=size, **how)  # noqa: E731
    stream = lambda count: GroupSimilarityDataLoader(Stream(groups(count)), batch_size=size)  # noqa: E731
    held_out = GroupSimilarityDataLoader(groups(17, seed=5), batch_size=size)
    held_out_pairs = PairsSimilarityDataLoader(pairs(17, seed=5), batch_size=size)
    ranking, cached = MultipleNegativesRankingLoss, CacheConfig()
    on_disk = CacheConfig(save_dir=folder / "vectors", cache_type="disk")
    composed = GroupSimilarityDataLoader(groups(26), groups_per_batch=3, samples_per_group=4)
    several = {"a": GroupSimilarityDataLoader(groups(14, seed=2), batch_size=size), "b": group_loader(shuffle=True)}
    memory = XbmConfig(buffer_size=20, start_iteration=1)
    guided = CombinedLoss(
        {
            "ranking": (GuidedNegatives(ranking(), Linear(seed=8)), 1.0),
            "teacher": (DistillationLoss(Linear(seed=9)), 0.5),
        }
    )
    switch = BySign({"positive": Linear(trainable=True), "negative": Linear(trainable=True, seed=3)})
    by_sign = GroupSimilarityDataLoader(sorted(groups(26), key=lambda one: one.obj), batch_size=size)
    one_by_one = {"strategy": "ddp_find_unused_parameters_true"} if world > 1 else {}
    early = pl.callbacks.EarlyStopping("metric_validation", mode="max", patience=1)
    return {
        "triplet": (
            Model(TripletLoss(), metric=RetrievalPrecision(k=1)),
            group_loader(shuffle=True),
            held_out,
            {"num_sanity_val_steps": 2, "callbacks": [early], "max_epochs": 5},
        ),
        "triplet, cached": (
            Model(TripletLoss(), caches=cached),
            group_loader(shuffle=True),
            held_out,
            {"accumulate_grad_batches": 2},
        ),
        "triplet, trained encoder": (Model(TripletLoss(), trainable=True), group_loader(num_workers=1), held_out, {}),
        "P x K, cached": (Model(TripletLoss(), caches=cached), composed, None, {}),
        "MNRL": (Model(ranking()), pair_loader(shuffle=True), held_out_pairs, {"gradient_clip_val": 0.1}),
        "MNRL, on disk": (
            Model(ranking(), caches=on_disk, metric=RetrievalReciprocalRank()),
            pair_loader(shuffle=True),
            held_out_pairs,
            {},
        ),
        "MNRL in chunks": (Model(ranking(), trainable=True, chunk_size=3), pair_loader(), None, {}),
        "MNRL, subgroups apart, cached": (
            Model(ranking(), caches=cached),
            pair_loader(unique_subgroups=True),
            None,
            {},
        ),
        "ArcFace": (Model(ArcFaceLoss(8, 3), trainable=True), group_loader(), held_out, {}),
        "ArcFace in chunks": (
            Model(ArcFaceLoss(8, 3), trainable=True, chunk_size=2),
            group_loader(),
            None,
            {"accumulate_grad_batches": 3},
        ),
        "ArcFace, cached": (Model(ArcFaceLoss(8, 3), caches=cached), group_loader(shuffle=True), held_out, {}),
        "ArcFace, cached, in bfloat16": (
            Model(ArcFaceLoss(8, 3), caches=cached),
            group_loader(),
            None,
            {"precision": "bf16-true"},
        ),
        "XBM": (Model(TripletLoss(), xbm=memory), group_loader(shuffle=True), None, {}),
        "XBM, cached": (Model(ranking(), caches=cached, xbm=memory), pair_loader(shuffle=True), None, {}),
        "teachers": (Model(guided, caches=cached), pair_loader(shuffle=True), held_out_pairs, {}),
        "several data sets": (
            Model(TripletLoss(), caches=cached),
            MultiSimilarityDataLoader(several),
            held_out,
            {},
        ),
        "several encoders": (Model(TripletLoss(), encoder=switch), by_sign, None, one_by_one),
        "stream": (Model(TripletLoss(), trainable=True), stream(26), None, {}),
        "stream, cached": (Model(TripletLoss(), caches=cached), stream(26), stream(7), {}),
    }


def trained(model, loader, validation, trainer, seed):
    """What a training gave."""
    torch.manual_seed(seed)
    Quaterion.fit(model, trainer, loader, validation)
    return {
        "losses": model.losses,
        "gradients": model.gradients,
        "weights": [p.detach() for p in model.parameters()],
        "logged": {key: float(value) for key, value in trainer.callback_metrics.items()},
        "memory": None if model._memory is None else [one.clone() for one in model._memory.read()],
        "encoded": getattr(model.encoder[0], "encoded", None),
    }


def train_all(rank, world, folder):
    """Trains all scenarios, as one of several processes that nobody has seeded alike."""
    results = {}
    torch.manual_seed(1000 * rank)
    for number, (name, (model, loader, validation, options)) in enumerate(scenarios(world, folder).items()):
        trainer = make_trainer(world, **options)
        results[name] = trained(model, loader, validation, trainer, seed=number + 1000 * rank)
    torch.save(results, folder / f"{world}-{rank}.pt")


def misuses(rank, world):
    """Trainings whose processes differ: the model, and its loader in this process."""
    raw, caches = {"trainable": True}, {"caches": CacheConfig()}
    of_groups = lambda samples, **how: GroupSimilarityDataLoader(samples, **{"batch_size": 6} | how)  # noqa: E731
    return {
        "other targets": (
            caches,
            of_groups([SimilarityGroupSample(one.obj, i % (3 - rank)) for i, one in enumerate(groups(26))]),
        ),
        "other objects": (raw, of_groups(groups(26, seed=rank))),
        "more objects": (raw, of_groups(groups(26 + rank))),
        "other batches": (raw, of_groups(groups(26), batch_size=6 + rank)),
        "other workers": (raw, of_groups(groups(26), num_workers=rank)),
        "a stream's share": (raw, of_groups(Stream(groups(26)[rank::world]))),
        "a longer stream": (raw, of_groups(Stream(groups(36)[: 24 + 12 * rank]))),
        "a stream of one": (caches, of_groups(Stream(groups(26)[: world - 1]))),
    }


def misuse_all(rank, world, folder):
    """Writes down how the misuses were refused, and that others that look alike were not."""
    refused = {}
    for name, (how, loader) in misuses(rank, world).items():
        try:
            Quaterion.fit(Model(TripletLoss(), **how), make_trainer(world), loader)
        except ValueError as error:
            refused[name] = str(error)
    model, trainer = Model(MultipleNegativesRankingLoss(), trainable=True), make_trainer(world)
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(Augmented(), batch_size=6))
    try:
        trainer.test(model, PairsSimilarityDataLoader(Augmented(), batch_size=6))
    except ValueError as error:
        refused["a plain loader"] = str(error)
    torch.save((refused, model.losses), folder / f"misused-{rank}.pt")


def train_by_slurm(rank, world, folder):
    """Trains as two machines with one device each, of a job that SLURM has started."""
    del os.environ["LOCAL_RANK"], os.environ["NODE_RANK"]
    os.environ |= {
        "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "training", "SLURM_NODELIST": "127.0.0.1", "SLURM_NNODES": str(world),
        "SLURM_NTASKS": str(world), "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": "0", "SLURM_NODEID": str(rank),
    }  # fmt: skip
    torch.manual_seed(1000 * rank)
    name, scenario = "MNRL, on disk", scenarios(world, folder)
    trainer = make_trainer(1, num_nodes=world, strategy="ddp")
    torch.save(trained(*scenario[name][:3], trainer, seed=list(scenario).index(name)), folder / f"slurm-{rank}.pt")


def main(folder):
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    for world in (1, 2, 3):
        (folder / str(world)).mkdir()
        if any(run_processes(world, train_all, folder / str(world))):
            return 1
    return max(map(abs, run_processes(2, misuse_all, folder) + run_processes(2, train_by_slurm, folder)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
