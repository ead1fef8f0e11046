import warnings

import pytest
import torch

from quaterion import Quaterion
from quaterion.batch import GroupTargets
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import TripletLoss
from quaterion.train import collapse
from quaterion.train.cache import CacheConfig
from quaterion.train.collapse import CollapseWatch
from quaterion_models.heads import EncoderHead


def watched(embeddings, groups=None, *, batch=16, distance="cosine"):
    watch = CollapseWatch(TripletLoss(distance_metric_name=distance))
    groups = torch.arange(len(embeddings)) if groups is None else groups
    for start in range(0, len(embeddings), batch):
        watch.look(embeddings[start : start + batch], GroupTargets(groups[start : start + batch]))
    return watch


def one_point(count=64, noise=0.01):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 8, generator=generator) + noise * torch.randn(count, 8, generator=generator)


def silent(watch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.end_epoch()
    return not watch.warned


def test_embeddings_of_one_direction_are_warned_of_once():
    watch = watched(one_point())
    with pytest.warns(UserWarning, match=r"has collapsed: 64 validation embeddings .* mean cosine of 1.000 and use 1"):
        watch.end_epoch()
    watch.look(one_point(), GroupTargets(torch.arange(64)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.end_epoch()


def test_embeddings_of_length_zero_are_warned_of():
    with pytest.warns(UserWarning, match=r"has collapsed"):
        watched(torch.zeros(10, 4)).end_epoch()


@pytest.mark.parametrize(
    "embeddings",
    [
        torch.randn(64, 8, generator=torch.Generator().manual_seed(1)),
        one_point(noise=0.5),
        torch.cat([one_point(), -one_point()]),  # two groups, told apart
        one_point(count=1),
        torch.full((8, 4), float("nan")),
        torch.empty(0, 4),
    ],
)
def test_other_embeddings_are_not(embeddings):
    assert silent(watched(embeddings))


def test_objects_of_one_group_are_meant_to_be_close():
    assert silent(watched(one_point(), groups=torch.full((64,), 7)))


def test_a_loss_of_distances_collapses_to_a_point_and_not_to_a_direction():
    lengths = torch.linspace(1, 2, 64).unsqueeze(1)
    assert silent(watched(one_point() * lengths, distance="euclidean"))
    with pytest.warns(UserWarning, match=r"has collapsed"):
        watched(one_point(noise=1e-4), distance="euclidean").end_epoch()
    with pytest.warns(UserWarning, match=r"has collapsed"):
        watched(one_point() * lengths).end_epoch()


def test_what_is_kept_is_bounded_and_from_the_whole_epoch(monkeypatch):
    monkeypatch.setattr(collapse, "ROWS", 200)
    monkeypatch.setattr(collapse, "ROWS_OF_A_BATCH", 8)
    watch = CollapseWatch(TripletLoss())
    for number in range(500):
        watch.look(torch.full((50, 1), float(number)), GroupTargets(torch.full((50,), number)))
        assert watch._count == sum(map(len, watch._embeddings)) <= 208
    kept = torch.cat(watch._embeddings).squeeze(1)
    assert kept.min() == 0 and kept.max() > 400
    numbers = kept.unique()
    assert len(numbers.diff().unique()) == 1  # every n-th batch
    assert torch.equal(torch.cat(watch._groups).float(), kept)


def test_the_rows_of_a_batch_are_from_all_of_it(monkeypatch):
    monkeypatch.setattr(collapse, "ROWS_OF_A_BATCH", 8)
    watch = CollapseWatch(TripletLoss())
    watch.look(torch.arange(100.0).unsqueeze(1), GroupTargets(torch.arange(100)))
    assert watch._embeddings[0].squeeze(1).tolist() == list(range(0, 100, 13))


class Constant(EncoderHead):
    """Maps everything to one point."""

    def __init__(self, input_embedding_size):
        super().__init__(input_embedding_size)
        self.point = torch.nn.Parameter(torch.ones(3))

    @property
    def output_size(self):
        return 3

    def transform(self, input_vectors):
        return self.point + 0 * input_vectors[:, :3]


def test_a_training_that_collapses_is_warned_of_once(model_type, group_data, make_trainer):
    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    model = model_type(caches=CacheConfig(), head=Constant, lr=0.0)
    for _ in range(2):  # once in each training
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Quaterion.fit(model, make_trainer(max_epochs=3, num_sanity_val_steps=1), loader, loader)
        assert sum("has collapsed" in str(one.message) for one in caught) == 1


def test_a_training_that_does_not_is_left_alone(model_type, group_data, make_trainer):
    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    model = model_type(caches=CacheConfig())
    Quaterion.fit(model, make_trainer(max_epochs=1), loader, loader)  # warnings are errors
    assert model._collapse._embeddings == []
