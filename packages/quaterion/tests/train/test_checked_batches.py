"""Scores of data sets that are not read before training are checked batch by batch."""

import pytest
import torch
from torch.utils.data import IterableDataset

from quaterion import Quaterion
from quaterion.cache import prepare
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import (
    CombinedLoss,
    ContrastiveLoss,
    DistillationLoss,
    GuidedNegatives,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    VectorTable,
)
from quaterion.train import prepare_batches
from quaterion.train.checked_batches import CheckedBatches
from quaterion_models.content_key import content_id


class Stream(IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


def own_collate(batch):
    return PairsSimilarityDataLoader.collate(batch)


def scored(*scores):
    return [SimilarityPairSample((float(i), 1.0, 0, 0), (0, 0, 1.0, float(i)), s) for i, s in enumerate(scores)]


def table_of(samples):
    objects = [obj for sample in samples for obj in (sample.obj_a, sample.obj_b)]
    return VectorTable(torch.tensor([content_id(obj) for obj in objects]), torch.randn(len(objects), 3))


BAD_LAST = scored(1, 1, 1, 1, 1, 0.5)
WRONG = r"Batch 2: .*score 1, but 1 of 2 pairs .* the first 0.5"


@pytest.mark.parametrize(
    "loader",
    [
        lambda data: PairsSimilarityDataLoader(Stream(data), batch_size=2),
        lambda data: PairsSimilarityDataLoader(data, batch_size=2, collate_fn=own_collate),
    ],
)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda loss: loss,
        lambda loss: MatryoshkaLoss(loss, [8, 4]),
        lambda loss: CombinedLoss({"a": (loss, 1.0)}),
        lambda loss: GuidedNegatives(loss, table_of(BAD_LAST)),
    ],
)
def test_scores_of_unread_data_are_refused_when_their_batch_comes(model_type, make_trainer, loader, wrap):
    model = model_type(loss=wrap(MultipleNegativesRankingLoss()))
    steps = []
    model.process_results = lambda **_: steps.append(1)
    with pytest.raises(ValueError, match=WRONG):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader(BAD_LAST))
    assert len(steps) <= 2  # the batch with the bad score never came to a step


def test_scores_beyond_the_time_for_reading_are_refused(model_type, make_trainer, monkeypatch):
    monkeypatch.setattr(prepare, "TARGET_SECONDS", 0.0)
    data = scored(*[1.0] * 300, 5.0)
    model = model_type(loss=ContrastiveLoss())
    model.process_results = lambda **_: None
    with pytest.raises(ValueError, match=r"Batch 1: ContrastiveLoss needs scores in \[0, 1\], .* the first 5"):
        Quaterion.fit(model, make_trainer(max_epochs=1), PairsSimilarityDataLoader(data, batch_size=200))


def test_validation_and_prepared_batches_are_checked_too(model_type, make_trainer):
    model = model_type(loss=MultipleNegativesRankingLoss())
    model.process_results = lambda **_: None
    stream = PairsSimilarityDataLoader(Stream(BAD_LAST), batch_size=2)
    with pytest.raises(ValueError, match=WRONG):
        Quaterion.fit(model, make_trainer(max_epochs=1), PairsSimilarityDataLoader(scored(1, 1), batch_size=2), stream)
    with pytest.raises(ValueError, match=WRONG):
        list(prepare_batches(model, stream))


def test_data_that_were_read_are_not_checked_again(model_type):
    batches = prepare_batches(
        model_type(loss=MultipleNegativesRankingLoss()), PairsSimilarityDataLoader(scored(1, 1, 1), batch_size=2)
    )
    assert not isinstance(batches, CheckedBatches) and len(list(batches)) == 2


def test_a_loss_that_reads_no_scores_takes_any(model_type):
    loss = DistillationLoss(table_of(BAD_LAST))
    assert (
        len(list(prepare_batches(model_type(loss=loss), PairsSimilarityDataLoader(Stream(BAD_LAST), batch_size=2))))
        == 3
    )
