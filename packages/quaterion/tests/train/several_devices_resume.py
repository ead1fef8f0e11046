"""Trains with a checkpoint after every epoch, while processes are killed or fail, and resumes.

Called with a folder, in which process 1 kills itself in the second epoch, unless "resume" follows: then with what was
left there one, two and three processes go on, beside others that nobody has disturbed.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from several_devices_processes import run_processes
from several_devices_program import GLOBAL_BATCH, Linear, Model, groups, make_trainer

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.xbm import XbmConfig

KILLED = -signal.SIGKILL


class Dies(Model):
    victim = -1

    def training_step(self, batch, batch_idx):
        if self.global_rank == self.victim and self.current_epoch == 1 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)


class Fails(Linear):
    def forward(self, batch):
        if os.environ.get("LOCAL_RANK") == "1":
            raise RuntimeError("this device is broken")
        time.sleep(0.1)  # so long that both processes have a share
        return super().forward(batch)


def train(rank, world, folder, *, victim=-1, encoder=None):
    torch.manual_seed(0)
    model = Dies(
        TripletLoss(), caches=CacheConfig(batch_size=2), xbm=XbmConfig(buffer_size=20, start_iteration=1),
        encoder=encoder,
    )  # fmt: skip
    model.victim = victim
    saving = pl.callbacks.ModelCheckpoint(folder, save_last=True, every_n_epochs=1, save_on_train_epoch_end=True)
    trainer = make_trainer(
        world, max_epochs=3, enable_checkpointing=True, callbacks=[saving], default_root_dir=folder
    )  # fmt: skip
    loader = GroupSimilarityDataLoader(groups(26), batch_size=GLOBAL_BATCH // world)
    Quaterion.fit(model, trainer, loader, ckpt_path="last")
    torch.save((len(model.losses), [p.detach() for p in model.parameters()]), folder / f"trained-{rank}.pt")


def fail(rank, world, folder):
    train(rank, world, folder, encoder=Fails())


def lose_the_first(rank, world, folder):
    train(rank, world, folder, victim=0)


def main(folder):
    for world in (1, 2, 3):
        shutil.copytree(folder / "killed", folder / f"resumed by {world}")
        assert run_processes(world, train, folder / f"resumed by {world}") == [0] * world
    assert run_processes(2, train, folder / "undisturbed") == [0, 0]
    assert run_processes(2, lose_the_first, folder / "first lost") == [KILLED, 1]
    assert run_processes(2, fail, folder / "failed") == [1, 1]


if __name__ == "__main__":
    if sys.argv[2:] == ["resume"]:
        main(Path(sys.argv[1]))
    else:
        train(int(os.environ.get("LOCAL_RANK", 0)), 2, Path(sys.argv[1]), victim=1)
