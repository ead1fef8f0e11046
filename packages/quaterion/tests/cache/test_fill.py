"""Filling a store beside another process, and what is said of objects that differ."""

import logging

import numpy as np
import pytest
import torch

from quaterion.cache import CacheConfig, EmbeddingStore, fill
from quaterion.cache.fill import Filling, differing
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.dataset.object_reading import ObjectReading
from quaterion.dataset.reading import read_data_set
from quaterion_models.collate import ModelCollate
from quaterion_models.content_key import content_key

TEXTS = ["a", "bb", "ccc"]


def test_while_another_writer_has_everything_no_loader_is_made_and_one_warning_says_what_is_waited_for(
    tmp_path, monkeypatch, caplog
):
    stores = [EmbeddingStore(fingerprint="f", dimension=1, folder=tmp_path) for _ in range(2)]
    loader = GroupSimilarityDataLoader([SimilarityGroupSample(text, 0) for text in TEXTS])
    one = Filling(
        name="text",
        store=stores[0],
        reading=read_data_set(loader, {"text": ObjectReading(content_key, len)}, ModelCollate({}, {})),
        loader=loader,
        encode=lambda texts: torch.zeros(len(texts), 1),
        collate=list,
        objects=ObjectReading(content_key, len),
        batch_size=2,
    )
    keys = one.reading.keys["text"]
    assert stores[1].claim(keys).all()
    looks, made, claim = [], [], EmbeddingStore.claim

    def look(store, wanted):
        looks.append(len(wanted))
        if len(looks) == 4:  # the other writer is done after the third look
            stores[1].add(keys, np.ones((3, 1), dtype=np.float32))
            stores[1].flush()
        return claim(store, wanted)

    monkeypatch.setattr(EmbeddingStore, "claim", look)
    monkeypatch.setattr(fill, "sequential_loader", lambda *_, **__: made.append(1))
    monkeypatch.setattr(fill, "WAIT_SECONDS", 0.001)
    with caplog.at_level(logging.WARNING):
        one.run(one.plan())
    assert not made and len(looks) == 4
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "Another process is encoding the 3 objects" in record.message
    assert str(tmp_path) in record.message and "'text'" in record.message
    assert stores[0].take(stores[0].rows(keys)).flatten().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("views", "said", "not_said"),
    [(1, "cache K fixed versions", "seeds"), (2, r"CacheConfig(views=2) seeds the global generators", "views=K")],
)
def test_the_advice_about_a_differing_object_is_not_what_was_done_already(views, said, not_said):
    message = differing("Sample 3", views=views)
    assert message.startswith("Sample 3 differs") and said in message and not_said not in message


def texts_only(objects):
    for place, obj in enumerate(objects):
        if not isinstance(obj, str):
            raise TypeError(f"expected text, got {type(obj).__name__} at place {place}")
    return objects


@pytest.mark.parametrize("workers", [0, 2])
def test_an_object_that_the_encoder_cannot_read_is_named_by_its_sample(read_batches, letter_counts, workers):
    class Texts(letter_counts):
        def get_collate_fn(self):
            return texts_only

    texts = ["a", "bb", "ccc", "dddd", None, "fffff"]  # None stands last where the longest are first
    with pytest.raises(TypeError, match="expected text, got NoneType at place 0") as caught:
        read_batches(texts, CacheConfig(num_workers=workers), encoder=Texts())
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "The object (NoneType) is one of sample 4" in told


@pytest.mark.parametrize("kind", [MemoryError, ImportError])
def test_an_error_that_says_nothing_about_objects_blames_none(read_batches, letter_counts, kind):
    def broken(objects):
        raise kind("nothing to do with an object")

    class Broken(letter_counts):
        def get_collate_fn(self):
            return broken

    with pytest.raises(kind, match="nothing to do with an object") as caught:
        read_batches(TEXTS, encoder=Broken())
    assert not getattr(caught.value, "__notes__", [])


def test_an_error_of_a_batch_alone_is_raised_as_it_is(read_batches, letter_counts):
    def few(objects):
        if len(objects) > 1:
            raise ValueError("too many at once")
        return objects

    class Few(letter_counts):
        def get_collate_fn(self):
            return few

    with pytest.raises(ValueError, match="^too many at once$") as caught:
        read_batches(TEXTS, encoder=Few())
    assert not hasattr(caught.value, "__notes__")
