"""Several data sets in one training, each with a loss of its own."""

import pytest
import torch
from torch.utils.data import IterableDataset

from quaterion import Quaterion
from quaterion.cache import EmbeddingStore
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    MultiSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityPairSample,
)
from quaterion.loss import (
    CombinedLoss,
    DistillationLoss,
    GuidedNegatives,
    MultipleNegativesRankingLoss,
    TripletLoss,
    VectorTable,
)
from quaterion.train.cache import CacheConfig
from quaterion_models.content_key import content_id, content_key


@pytest.fixture
def loaders(group_data, pair_data):
    pairs = [SimilarityPairSample(sample.obj_a, sample.obj_b) for sample in pair_data]
    return {
        "groups": GroupSimilarityDataLoader(group_data, batch_size=10, shuffle=True),
        "pairs": PairsSimilarityDataLoader(pairs, batch_size=20),
    }


def two_losses():
    return CombinedLoss({"groups": (TripletLoss(), 1.0), "pairs": (MultipleNegativesRankingLoss(), 3.0)})


@pytest.mark.parametrize("caches", [None, CacheConfig()])
@pytest.mark.parametrize(("strategy", "counts"), [("proportional", (5, 2)), ("round_robin", (2, 2))])
def test_each_data_set_is_trained_with_its_own_loss(
    model_type, make_trainer, every_step, loaders, caches, strategy, counts
):
    model = model_type(loss=two_losses(), caches=caches)
    model.process_results = lambda **_: None
    logged = []
    model.log = lambda name, value, **_: logged.append((name, float(value)))
    trainer = make_trainer(max_epochs=1, callbacks=[every_step])
    Quaterion.fit(model, trainer, MultiSimilarityDataLoader(loaders, strategy))
    names = [name for name, _ in logged]
    assert (names.count("train_loss_groups"), names.count("train_loss_pairs")) == counts
    assert len(MultiSimilarityDataLoader(loaders, strategy)) == sum(counts)
    for (part, value), (total, weighed) in zip(logged[::2], logged[1::2], strict=True):
        assert total == "train_loss"
        assert weighed == pytest.approx(value * {"train_loss_groups": 1.0, "train_loss_pairs": 3.0}[part])


class Stream(IterableDataset):
    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


def test_data_sets_without_a_length_are_named_unless_a_cache_counts_them(model_type, make_trainer, group_data):
    loader = GroupSimilarityDataLoader(Stream(group_data), batch_size=10)
    multi = MultiSimilarityDataLoader({"stream": loader})
    with pytest.raises(TypeError, match=r"The data set 'stream' has no length.* \(configure_caches\)"):
        Quaterion.fit(model_type(loss=TripletLoss()), make_trainer(max_epochs=1), multi)
    model = model_type(loss=TripletLoss(), caches=CacheConfig())
    model.process_results = lambda **_: None
    Quaterion.fit(model, make_trainer(max_epochs=1), multi)


def test_validation_data_of_named_losses_need_names(model_type, make_trainer, loaders):
    model = model_type(loss=two_losses(), caches=CacheConfig())
    model.process_results = lambda **_: None
    multi = MultiSimilarityDataLoader(loaders)
    with pytest.raises(ValueError, match=r"validation data are named \[''\]. Pass val_dataloader as a dictionary"):
        Quaterion.fit(model, make_trainer(max_epochs=1), multi, loaders["pairs"])
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, multi, {"pairs": loaders["pairs"]})
    assert "validation_loss_pairs" in trainer.callback_metrics
    swapped = {"pairs": loaders["groups"], "groups": loaders["pairs"]}
    with pytest.raises(TypeError, match="train_dataloader=GroupSimilarityDataLoader, but MultipleNegativesRankingLoss"):
        Quaterion.fit(model, make_trainer(max_epochs=1), MultiSimilarityDataLoader(swapped))


def test_bad_combinations_of_loaders_are_refused(loaders):
    with pytest.raises(ValueError, match="got no loaders"):
        MultiSimilarityDataLoader({})
    with pytest.raises(TypeError, match="got 'a': list"):
        MultiSimilarityDataLoader({"a": []})
    with pytest.raises(ValueError, match="strategy='random'; expected"):
        MultiSimilarityDataLoader(loaders, "random")


def table_of(encoder, loader):
    objects = [obj for sample in loader.dataset for obj in loader.objects_of(sample)]
    with torch.no_grad():
        return VectorTable(torch.tensor([content_id(obj) for obj in objects]), encoder.layer(torch.tensor(objects)))


@pytest.mark.parametrize("make", [DistillationLoss, lambda t: GuidedNegatives(MultipleNegativesRankingLoss(), t)])
@pytest.mark.parametrize("kind", ["encoder", "store"])
def test_teachers_get_their_vectors_when_training_starts(
    model_type, encoder_type, make_trainer, loaders, make, kind, every_step
):
    teacher = encoder_type(size=5, seed=9)
    loader = loaders["pairs"]
    table = table_of(teacher, loader)
    if kind == "store":
        import numpy as np

        objects = [obj for sample in loader.dataset for obj in loader.objects_of(sample)]
        teacher = EmbeddingStore(fingerprint="t", dimension=5)
        keys = np.frombuffer(b"".join(map(content_key, objects)), dtype=np.uint8).reshape(-1, 16)
        teacher.add(keys, table(torch.tensor([content_id(obj) for obj in objects])).numpy())
        teacher.flush()
    runs = []
    for source in (teacher, table):
        torch.manual_seed(0)
        model = model_type(loss=make(source), caches=CacheConfig())
        model.process_results = lambda **_: None
        losses = runs.append([]) or runs[-1]
        model.log = lambda name, value, losses=losses, **_: losses.append(float(value))
        Quaterion.fit(model, make_trainer(max_epochs=2, callbacks=[every_step]), loader, loader)
    assert len(runs[0]) == 8
    assert runs[0] == pytest.approx(runs[1], rel=1e-5)


def test_a_store_that_lacks_objects_is_refused(model_type, make_trainer, loaders):
    model = model_type(loss=DistillationLoss(EmbeddingStore(fingerprint="t", dimension=5)))
    with pytest.raises(ValueError, match="The teacher's store lacks 80 of the data's 80 objects"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loaders["pairs"])
