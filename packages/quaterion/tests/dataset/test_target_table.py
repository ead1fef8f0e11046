"""The table's batches equal those of the loader's own collate step."""

import random

import torch

from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.dataset.raw_collate import RawCollate
from quaterion.dataset.reading import read_data_set
from quaterion_models.collate import ModelCollate


def pairs(count, *, negatives):
    rng = random.Random(0)
    return [
        SimilarityPairSample(
            f"a{i % 7}",
            f"b{i}",
            rng.random(),
            subgroup=i % 3,
            negatives=[f"n{i}{j}" for j in range(i % 4 if negatives else 0)],
        )
        for i in range(count)
    ]


def test_batches_of_pairs_equal_those_of_the_collate_step():
    for negatives in (False, True):
        data = pairs(40, negatives=negatives)
        loader = PairsSimilarityDataLoader(data)
        collate = RawCollate(loader, ModelCollate({"texts": list}, {}))
        reading = read_data_set(loader, {}, ModelCollate({}, {}))
        flat = [obj for sample in data for obj in loader.objects_of(sample)]
        for rows in (torch.arange(40), torch.tensor([5]), torch.tensor([3, 3, 0, 39, 2])):
            batch = collate([data[row] for row in rows]).batch
            objects, targets = reading.table.batch(rows)
            assert [flat[i] for i in objects] == batch.features.inputs["texts"]
            assert targets.subgroups_used is True  # of the whole data set; a batch alone does not tell
            for name in set(targets._fields) - {"subgroups_used"}:
                assert torch.equal(getattr(targets, name), getattr(batch.targets, name)), name
