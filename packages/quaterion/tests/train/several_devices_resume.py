"""Trains with a checkpoint after every epoch; a process may kill itself in the middle of one, or fail in the fill.

Called with a folder, the number of epochs, and what happens to process 1: "nothing", "kill" or "fail".
"""

import os
import signal
import sys
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from several_devices_program import Linear, Model, groups

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.xbm import XbmConfig


class Dies(Model):
    def training_step(self, batch, batch_idx):
        if self.happens == "kill" and self.global_rank == 1 and self.current_epoch == 1 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)


class Fails(Linear):
    def forward(self, batch):
        if os.environ.get("LOCAL_RANK") == "1":
            raise RuntimeError("this device is broken")
        time.sleep(0.1)  # so long that both processes have a share
        return super().forward(batch)


def main(folder, epochs, happens):
    torch.manual_seed(0)
    model = Dies(TripletLoss(), caches=CacheConfig(batch_size=2), xbm=XbmConfig(buffer_size=20, start_iteration=1))
    model.happens = happens
    if happens == "fail":
        model.model.encoders["default"].__class__ = Fails
    checkpoint = folder / "last.ckpt"
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=epochs, logger=False, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, save_last=True, every_n_epochs=1,
                                                save_on_train_epoch_end=True)],
    )  # fmt: skip
    loader = GroupSimilarityDataLoader(groups(26), batch_size=6)
    Quaterion.fit(model, trainer, loader, ckpt_path=checkpoint if checkpoint.exists() else None)
    torch.save([p.detach() for p in model.parameters()], folder / f"weights-{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
