"""Training the top layers of a transformer over its cached trunk, with the real Trainer."""

import pytest
import torch

from quaterion import Quaterion, TrainableModel
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

pytest.importorskip("sentence_transformers")

THINGS = ["fee", "limit", "pin"] * 8
TEXTS = [f"what is the {thing} of {'my ' * (row % 5)}card {row}" for row, thing in enumerate(THINGS)]
SAMPLES = [SimilarityGroupSample(text, row % 3) for row, text in enumerate(TEXTS)]


class Model(TrainableModel):
    def __init__(self, encoders, cache=None):
        self._encoders, self._cache = encoders, cache
        self.losses = []
        super().__init__()

    def configure_encoders(self):
        return self._encoders

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return TripletLoss()

    def configure_caches(self):
        return self._cache

    def process_results(self, embeddings, targets, batch_idx, stage, **kwargs):
        self.losses.append(embeddings.detach().clone())


def fit(make_trainer, encoders, cache, epochs=2, samples=SAMPLES):
    torch.manual_seed(0)
    model = Model(encoders, cache)
    loader = GroupSimilarityDataLoader(samples, batch_size=8, shuffle=True)
    Quaterion.fit(model, make_trainer(max_epochs=epochs), loader)
    return model


def no_call(*args, **kwargs):
    raise AssertionError("the trunk was run")


@pytest.mark.slow
@pytest.mark.parametrize("placement", [CacheType.AUTO, CacheType.CPU, CacheType.DISK])
def test_a_cached_training_goes_as_the_uncached_one_dropout_included(make_trainer, minilm_folder, tmp_path, placement):
    uncached = fit(make_trainer, SentenceTransformerEncoder(minilm_folder, trainable_layers=2), None)
    config = CacheConfig(placement, save_dir=tmp_path / "cache", states_dtype="float32")
    cached = fit(make_trainer, SentenceTransformerEncoder(minilm_folder, trainable_layers=2), config)
    assert len(cached.losses) == len(uncached.losses) == 6
    for got, expected in zip(cached.losses, uncached.losses, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(cached.losses[0], uncached.losses[0], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_after_a_training_the_store_serves_the_saved_model_and_the_original(
    make_trainer, minilm_folder, tmp_path, monkeypatch
):
    config = CacheConfig(save_dir=tmp_path / "cache")
    model = fit(make_trainer, SentenceTransformerEncoder(minilm_folder, trainable_layers=1), config, epochs=1)
    (folder,) = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    store = EmbeddingStore.open(folder)
    assert (store.kind, store.dtype_name) == ("token", "float16")
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    torch.testing.assert_close(
        torch.tensor(loaded.encode(TEXTS)), torch.tensor(model.model.encode(TEXTS)), atol=1e-6, rtol=0
    )
    encoder = loaded.encoders["default"]
    assert encoder.settings["trainable_layers"] == 1
    monkeypatch.setattr(type(encoder.get_trunk()), "__call__", no_call)
    fit(make_trainer, encoder, config, epochs=1)
    fit(make_trainer, SentenceTransformerEncoder(minilm_folder, trainable_layers=1), config, epochs=1)


@pytest.mark.slow
def test_each_object_goes_once_through_what_is_cached_beside_an_encoder_that_is_trained(make_trainer, minilm_folder):
    seen = {"trunk": 0, "frozen": 0, "trained": 0}
    encoders = {
        "trunk": FieldEncoder("text", SentenceTransformerEncoder(minilm_folder, trainable_layers=1)),
        "frozen": SentenceTransformerEncoder(minilm_folder, trainable_layers=0),
        "trained": SentenceTransformerEncoder(minilm_folder, trainable=True),
    }
    encoders["frozen"] = FieldEncoder("text", encoders["frozen"])
    encoders["trained"] = FieldEncoder("text", encoders["trained"])
    for name in seen:
        whole = encoders[name].encoder.loaded()

        def count(module, arguments, name=name):
            seen[name] += len(arguments[0]["input_ids"])

        whole[0].register_forward_pre_hook(count)
    samples = [SimilarityGroupSample({"text": one.obj}, one.group) for one in [*SAMPLES, *SAMPLES[:5]]]
    trained = encoders["trained"].encoder.model
    before = trained.state_dict()["0.model.embeddings.word_embeddings.weight"].clone()
    fit(make_trainer, encoders, CacheConfig(), samples=samples)
    assert seen["frozen"] == len(TEXTS)
    assert seen["trained"] == 2 * len(samples)
    assert seen["trunk"] == len(TEXTS) + 2 * len(samples)  # once below, in each epoch above
    assert not torch.equal(before, trained.state_dict()["0.model.embeddings.word_embeddings.weight"])


def test_a_cache_for_an_encoder_that_is_trained_as_a_whole_is_refused(make_trainer, minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True)
    with pytest.raises(ValueError, match="caches the encoder 'default', which is trainable, .*trainable_layers=N"):
        fit(make_trainer, encoder, CacheConfig(mapping={"default": CacheType.CPU}))
    with pytest.raises(ValueError, match="every encoder is trainable .* or its lower layers"):
        fit(make_trainer, encoder, CacheConfig())


@pytest.mark.slow
def test_a_checkpoint_holds_what_is_trained_and_a_training_goes_on_from_it(make_trainer, minilm_folder, tmp_path):
    config = CacheConfig(save_dir=tmp_path / "cache")
    model = Model(SentenceTransformerEncoder(minilm_folder, trainable_layers=1), config)
    loader = GroupSimilarityDataLoader(SAMPLES, batch_size=8)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(model, trainer, loader)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    held = torch.load(tmp_path / "one.ckpt", weights_only=False)["state_dict"]
    assert not any("embeddings" in name or "layer.4" in name for name in held)
    other = Model(SentenceTransformerEncoder(minilm_folder, trainable_layers=1), config)
    trainer = make_trainer(max_epochs=1)
    Quaterion.fit(other, trainer, loader, ckpt_path=tmp_path / "one.ckpt")  # no epoch is left
    torch.testing.assert_close(
        torch.tensor(other.model.encode(TEXTS)), torch.tensor(model.model.encode(TEXTS)), atol=1e-6, rtol=0
    )


def test_a_frozen_copy_of_a_partly_trained_encoder_has_its_vectors(minilm_folder, tmp_path):
    encoder = SentenceTransformerEncoder(minilm_folder, trainable_layers=1)
    with torch.no_grad():
        next(one for one in encoder.parameters() if one.requires_grad).mul_(1.1)
    batch = encoder.get_collate_fn()(["one text", "another text, longer"])
    copied = encoder.frozen_copy(tmp_path / "copy")
    assert not copied.trainable
    torch.testing.assert_close(copied(batch), encoder.eval()(batch), rtol=1e-5, atol=1e-6)
