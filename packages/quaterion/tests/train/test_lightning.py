"""Ctrl-C in a training is Ctrl-C."""

import signal

import pytest
from pytorch_lightning import Callback

from quaterion import Quaterion, TrainableModel
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import SoftmaxLoss
from quaterion.train.lightning import with_ctrl_c
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import GatedHead


class Model(TrainableModel):
    def configure_encoders(self):
        return VectorEncoder(2)

    def configure_head(self, input_embedding_size):
        return GatedHead(input_embedding_size)

    def configure_loss(self):
        return SoftmaxLoss(self.model.output_size, 2)


class Raising(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_batch_end(self, *_):
        raise self.error


def loader():
    samples = [SimilarityGroupSample([1.0, 0.1], "a"), SimilarityGroupSample([0.0, 1.0], "b")]
    return GroupSimilarityDataLoader(samples, batch_size=2)


def test_ctrl_c_stays_what_it_is(make_trainer):
    handler = signal.getsignal(signal.SIGINT)
    trainer = make_trainer(max_epochs=1, callbacks=[Raising(KeyboardInterrupt())])
    with pytest.raises(KeyboardInterrupt), with_ctrl_c(trainer):
        Quaterion.fit(Model(), trainer, loader())
    assert signal.getsignal(signal.SIGINT) is handler  # a second one is heard, too


def test_an_exit_of_the_user_stays_one(make_trainer):
    trainer = make_trainer(max_epochs=1)
    with pytest.raises(SystemExit, match="7"), with_ctrl_c(trainer):
        raise SystemExit(7)
