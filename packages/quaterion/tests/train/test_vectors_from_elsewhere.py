"""Vectors that were computed elsewhere, and functions that compute them, through the cache and training."""

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder, VectorEncoder

VECTORS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
IDS = [f"product {number}" for number in range(30)]


@pytest.fixture
def losses(model_type, make_trainer):
    def train(encoder, objects, caches):
        data = [SimilarityGroupSample(obj, number % 3) for number, obj in enumerate(objects)]
        torch.manual_seed(0)
        model = model_type(encoders=encoder, caches=caches)
        loader = GroupSimilarityDataLoader(data, batch_size=8, shuffle=True)
        torch.manual_seed(1)
        Quaterion.fit(model, make_trainer(max_epochs=2), loader)
        return [value for _, value in model.steps]

    return train


def stored(tmp_path, kind):
    if kind == "passed":
        return VectorEncoder(6), list(VECTORS)
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": IDS, "vector": VECTORS.tolist()}), tmp_path / "a.parquet")
        return VectorEncoder.from_parquet(tmp_path / "a.parquet", key="id", vector="vector"), IDS
    np.save(tmp_path / "a.npy", VECTORS)
    if kind == "rows":
        return VectorEncoder.from_npy(tmp_path / "a.npy"), list(range(30))
    return VectorEncoder.from_npy(tmp_path / "a.npy", keys=IDS), IDS


def test_every_source_of_vectors_trains_the_same_with_and_without_the_cache(losses, tmp_path):
    runs = []
    for kind in ("passed", "rows", "keys", "parquet"):
        encoder, objects = stored(tmp_path, kind)
        for caches in (None, CacheConfig(), CacheConfig(CacheType.DISK, save_dir=tmp_path / "cache")):
            runs.append(losses(encoder, objects, caches))
    for run in runs[1:]:
        assert run == pytest.approx(runs[0], rel=1e-5)


def test_a_vector_that_is_not_finite_ends_the_filling(losses):
    vectors = VECTORS.copy()
    vectors[7, 2] = np.nan
    with pytest.raises(ValueError, match="holds nan at place 2, expected finite numbers"):
        losses(VectorEncoder(6), list(vectors), CacheConfig())


class Client:
    """Stands for a service that is paid by the call."""

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked.append(texts)
        return [[len(text), text.count("1"), text.count("2"), 1.0] for text in texts]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_call_that_was_made_is_never_repeated(losses, tmp_path, workers):
    caches = CacheConfig(save_dir=tmp_path / "cache", batch_size=7, num_workers=workers)

    def run(objects, version="1"):
        client = Client()
        values = losses(CallableEncoder(client.embed, 4, version=version), objects, caches)
        return client.asked, values

    asked, first = run([*IDS, *IDS[:5]])
    assert all(type(batch) is list and len(batch) <= 7 for batch in asked)
    assert sorted(text for batch in asked for text in batch) == sorted(IDS)
    asked, again = run([*IDS, *IDS[:5]])
    assert asked == [] and again == first
    asked, _ = run([*IDS, "something new"])
    assert asked == [["something new"]]
    asked, _ = run(IDS, version="2")
    assert sorted(text for batch in asked for text in batch) == sorted(IDS)


def test_a_model_with_a_function_is_served_without_the_cache(model_type, make_trainer, tmp_path):
    encoder = CallableEncoder(Client().embed, 4, version="1")
    model = model_type(encoders=encoder, caches=CacheConfig())
    data = [SimilarityGroupSample(text, number % 3) for number, text in enumerate(IDS)]
    Quaterion.fit(model, make_trainer(max_epochs=1), GroupSimilarityDataLoader(data, batch_size=8))
    model.save_servable(tmp_path / "model")
    again = CallableEncoder(Client().embed, 4, version="1")
    loaded = SimilarityModel.load(tmp_path / "model", encoders={"default": again})
    np.testing.assert_array_equal(loaded.encode(IDS), model.model.encode(IDS))
