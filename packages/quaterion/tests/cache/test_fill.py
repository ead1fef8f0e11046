"""Filling a store beside another process, and what is said of objects that differ."""

import logging

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore, fill
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
