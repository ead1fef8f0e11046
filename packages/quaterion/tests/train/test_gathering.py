"""Slices of a batch put together again are the batch."""

from itertools import pairwise

import pytest
import torch

from quaterion.batch import Batch, Features
from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.dataset.similarity_data_loader import GroupSimilarityDataLoader, PairsSimilarityDataLoader
from quaterion.train.gathering import gather_embeddings, with_all_targets
from quaterion.utils.ranks import Ranks

EMPTY = Features({}, {}, [])


class Told(Ranks):
    """A process that has been told what the others pass."""

    def __init__(self, rank, every):
        super().__init__(rank, len(every))
        self._every = every

    def gather(self, value):
        del value
        return [[one.numpy() if isinstance(one, torch.Tensor) else one for one in targets] for targets in self._every]


def targets_of(kind, samples):
    ids, _, labels = kind.collate(samples)
    return kind.targets(ids, labels)


@pytest.mark.parametrize("bounds", [[0, 3, 5], [0, 0, 5], [0, 2, 2, 5], [0, 5]])
@pytest.mark.parametrize("pairs", [False, True])
def test_targets_and_embeddings_of_slices_are_those_of_the_whole_in_its_order(bounds, pairs):
    if pairs:
        kind = PairsSimilarityDataLoader
        samples = [SimilarityPairSample(f"a{i}", f"b{i}", negatives=[f"n{i}", "n"][: i % 3], subgroup=i % 2, score=1.0)
                   for i in range(5)]  # fmt: skip
    else:
        kind, samples = GroupSimilarityDataLoader, [SimilarityGroupSample(i, i % 2) for i in range(5)]
    whole = targets_of(kind, samples)
    slices = [samples[first:last] for first, last in pairwise(bounds)]
    every = [targets_of(kind, one) for one in slices]
    rows = [len(kind.flatten_objects(one)[1]) for one in slices]
    # An embedding that tells its object, and a filler behind those of an empty slice.
    objects = kind.flatten_objects(samples)[1]
    place = {obj: float(number) for number, obj in enumerate(objects)}
    embeddings = [torch.tensor([[place[obj]] for obj in kind.flatten_objects(one)[1]] or [[-7.0]]) for one in slices]
    for rank in range(len(slices)):
        batch = with_all_targets(Batch(EMPTY, every[rank]), Told(rank, every))
        for got, expected in zip(batch.targets, whole, strict=True):
            assert torch.equal(got, expected) if isinstance(expected, torch.Tensor) else got == expected
        assert batch.rows.own == rows[rank]
        padded = [torch.nn.functional.pad(one[:n], (0, 0, 0, batch.rows.most - n))
                  for one, n in zip(embeddings, rows, strict=True)]  # fmt: skip
        gathered = gather_embeddings(embeddings[rank], batch.rows, lambda _, padded=padded: torch.stack(padded))
        assert gathered.flatten().tolist() == [place[obj] for obj in objects]
