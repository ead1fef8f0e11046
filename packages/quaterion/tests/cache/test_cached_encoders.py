import pytest
import torch

from quaterion.cache import CacheConfig, CacheType
from quaterion.cache.cached_encoders import cached_encoders, object_reading
from quaterion_models import SimilarityModel
from quaterion_models.content_key import content_key
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.token_states import RaggedStates
from quaterion_models.heads import EmptyHead


class Numbers(Encoder):
    """Numbers as vectors of one; where it has a trunk, they are states of one token."""

    trainable, embedding_size, width = False, 1, 1

    def __init__(self, trainable=False, trunk=False):
        super().__init__()
        self.trainable, self.trunk = trainable, trunk

    def forward(self, batch):
        return batch.float().unsqueeze(1)

    def get_trunk(self):
        return self if self.trunk else None

    def __call__(self, batch):
        return RaggedStates(self.forward(batch), torch.ones(len(batch), dtype=torch.int64))


def model(**encoders):
    return SimilarityModel(encoders, EmptyHead(len(encoders)))


def test_what_is_frozen_is_cached_and_of_what_is_trained_its_trunk():
    encoders = model(frozen=Numbers(), trained=Numbers(trainable=True), top=Numbers(trainable=True, trunk=True))
    assert list(cached_encoders(encoders, CacheConfig())) == ["frozen", "top"]


def test_an_encoder_set_to_none_runs_in_every_epoch():
    encoders = model(a=Numbers(), b=Numbers())
    assert list(cached_encoders(encoders, CacheConfig(mapping={"a": CacheType.NONE}))) == ["b"]
    assert cached_encoders(encoders, CacheConfig(CacheType.NONE)) == {}


def test_what_cannot_be_cached_is_refused():
    trained = model(a=Numbers(trainable=True))
    with pytest.raises(ValueError, match=r"names the encoders \['b'\]; the model has \['a'\]"):
        cached_encoders(trained, CacheConfig(mapping={"b": CacheType.CPU}))
    with pytest.raises(ValueError, match=r"caches the encoder 'a', which is trainable.*trainable_layers=N"):
        cached_encoders(trained, CacheConfig(mapping={"a": CacheType.CPU}))
    with pytest.raises(ValueError, match=r"every encoder is trainable \(\['a'\]\)"):
        cached_encoders(trained, CacheConfig())


def test_an_extractor_identifies_objects_in_the_place_of_their_content():
    assert object_reading(Numbers(), None).key({"id": 3}) == content_key({"id": 3})
    assert object_reading(Numbers(), lambda obj: obj["id"]).key({"id": 3}) == content_key(3)
