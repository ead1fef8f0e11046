"""Training the top layers of a transformer over its cached trunk, with the real Trainer."""

import pytest
import torch

from quaterion import Quaterion, TrainableModel
from quaterion.cache import EmbeddingStore
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.loss import TripletLoss
from quaterion.train.cache import CacheConfig, CacheType
from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.heads import SkipConnectionHead

pytest.importorskip("transformers")

# Of 1 to 9 words, so that most batches have padding.
TEXTS = [" ".join(f"word{row * 5 % 60 + place * (row % 3 + 1)}" for place in range(1 + row % 9)) for row in range(24)]
SAMPLES = [SimilarityGroupSample(text, row % 3) for row, text in enumerate(TEXTS)]
CALM = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class Model(TrainableModel):
    lr = 1e-2

    def __init__(self, encoders, cache=None):
        self._encoders, self._cache = encoders, cache
        self.steps = []
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
        self.steps.append(embeddings.detach().clone())


def fit(trainer, encoders, cache, *, samples=SAMPLES, shuffle=True, checkpoint=None, **settings):
    torch.manual_seed(0)
    model = Model(encoders, cache)
    vars(model).update(settings)
    loader = GroupSimilarityDataLoader(samples, batch_size=8, shuffle=shuffle)
    Quaterion.fit(model, trainer, loader, ckpt_path=checkpoint)
    return model


def assert_same_steps(got, expected, **tolerance):
    assert len(got) == len(expected) > 0
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


def no_call(*args, **kwargs):
    raise AssertionError("the trunk was run")


@pytest.mark.parametrize(
    ("placement", "settings"),
    [
        (CacheType.AUTO, {}),
        (CacheType.CPU, {"chunk_size": 3}),  # a chunk has no padding that the whole batch needs
        (CacheType.DISK, {"encoder_lr": 1e-3, "layer_lr_decay": 0.5}),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["", "gradient checkpointing"])
def test_a_cached_training_goes_as_the_uncached_one_dropout_included(
    make_trainer, tiny_bert, tmp_path, placement, settings, again
):
    options = {"trainable_layers": 2, "gradient_checkpointing": again}
    folder = tiny_bert()
    uncached = fit(make_trainer(max_epochs=2), TransformersEncoder(folder, **options), None, **settings)
    config = CacheConfig(placement, save_dir=tmp_path / "cache", states_dtype="float32")
    cached = fit(make_trainer(max_epochs=2), TransformersEncoder(folder, **options), config, **settings)
    assert_same_steps(cached.steps, uncached.steps, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_training_of_the_real_minilm_goes_on_from_states_as_from_texts(make_trainer, minilm_folder):
    pytest.importorskip("sentence_transformers")
    samples = [SimilarityGroupSample(f"what is the {text} of my card?", row % 3) for row, text in enumerate(TEXTS)]
    steps = []
    for config in (None, CacheConfig(states_dtype="float32")):
        encoder = SentenceTransformerEncoder(minilm_folder, trainable_layers=2)
        model = fit(make_trainer(max_epochs=1), encoder, config, samples=samples, encoder_lr=5e-5)
        steps.append(model.steps)
    assert_same_steps(steps[1], steps[0], atol=2e-4, rtol=0)
    torch.testing.assert_close(steps[1][0], steps[0][0], atol=1e-5, rtol=0)


def test_after_a_training_the_store_serves_the_saved_model_and_the_original(
    make_trainer, tiny_bert, tmp_path, monkeypatch
):
    folder, config = tiny_bert(), CacheConfig(save_dir=tmp_path / "cache")
    model = fit(make_trainer(max_epochs=1), TransformersEncoder(folder, trainable_layers=1), config)
    (store_folder,) = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    store = EmbeddingStore.open(store_folder)
    assert (store.kind, store.dtype_name) == ("token", "float16")
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    torch.testing.assert_close(
        torch.tensor(loaded.encode(TEXTS)), torch.tensor(model.model.encode(TEXTS)), atol=1e-6, rtol=0
    )
    encoder = loaded.encoders["default"]
    assert encoder.settings["trainable_layers"] == 1
    monkeypatch.setattr(type(encoder.get_trunk()), "__call__", no_call)
    fit(make_trainer(max_epochs=1), encoder, config)
    fit(make_trainer(max_epochs=1), TransformersEncoder(folder, trainable_layers=1), config)


def test_what_changes_the_states_has_another_store(make_trainer, tiny_bert, tmp_path):
    folder, config = tiny_bert(), {"save_dir": tmp_path / "cache"}

    def stores(encoder, **options):
        fit(make_trainer(max_epochs=1), encoder, CacheConfig(**config | options))
        return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}

    found = stores(TransformersEncoder(folder, trainable_layers=1))
    assert stores(TransformersEncoder(folder, trainable_layers=1, pooling="cls", normalize=True)) == found
    for options in ({"trainable_layers": 2}, {"max_length": 4}, {"prompt": "word1 "}):
        more = stores(TransformersEncoder(folder, **{"trainable_layers": 1} | options))
        assert len(more - found) == 1
        found = more
    more = stores(TransformersEncoder(folder, trainable_layers=1), states_dtype="float32")
    assert [name.rpartition("-")[2] for name in more - found] == ["float32"]
    edited = TransformersEncoder(folder, trainable_layers=1)
    stores(edited)
    with torch.no_grad():
        edited.loaded().encoder.layer[0].output.dense.bias.add_(1)
    assert len(stores(edited) - more) == 1


def test_each_object_goes_once_through_what_is_cached_beside_an_encoder_that_is_trained(make_trainer, tiny_bert):
    folder = tiny_bert()
    options = {"trunk": {"trainable_layers": 1}, "frozen": {"trainable_layers": 0}, "trained": {"trainable": True}}
    encoders = {name: FieldEncoder("text", TransformersEncoder(folder, **one)) for name, one in options.items()}
    seen = dict.fromkeys(encoders, 0)
    for name, encoder in encoders.items():

        def count(module, arguments, inputs, name=name):
            seen[name] += len(inputs["input_ids"])

        encoder.encoder.loaded().register_forward_pre_hook(count, with_kwargs=True)
    samples = [SimilarityGroupSample({"text": one.obj}, one.group) for one in [*SAMPLES, *SAMPLES[:5]]]
    before = encoders["trained"].encoder.model.embeddings.word_embeddings.weight.clone()
    fit(make_trainer(max_epochs=2), encoders, CacheConfig(), samples=samples)
    assert seen["frozen"] == len(TEXTS)
    assert seen["trained"] == 2 * len(samples)
    assert seen["trunk"] == len(TEXTS) + 2 * len(samples)  # once below, in each epoch above
    assert not torch.equal(before, encoders["trained"].encoder.model.embeddings.word_embeddings.weight)


def test_a_cache_for_an_encoder_that_is_trained_as_a_whole_is_refused(make_trainer, tiny_bert):
    encoder = TransformersEncoder(tiny_bert(), trainable=True)
    with pytest.raises(ValueError, match=r"caches the encoder 'default', which is trainable, .*trainable_layers=N"):
        fit(make_trainer(max_epochs=1), encoder, CacheConfig(mapping={"default": CacheType.CPU}))
    with pytest.raises(ValueError, match=r"every encoder is trainable .* or its lower layers"):
        fit(make_trainer(max_epochs=1), encoder, CacheConfig())


def test_a_training_goes_on_from_a_checkpoint_of_what_is_trained(make_trainer, tiny_bert, tmp_path):
    folder, config = tiny_bert(**CALM), CacheConfig(save_dir=tmp_path / "cache")
    options = {"shuffle": False, "encoder_lr": 1e-3, "layer_lr_decay": 0.5}

    def trained(epochs, checkpoint=None):
        trainer = make_trainer(max_epochs=epochs)
        encoder = TransformersEncoder(folder, trainable_layers=2)
        return fit(trainer, encoder, config, checkpoint=checkpoint, **options), trainer

    whole, _ = trained(4)
    _, trainer = trained(2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    held = torch.load(tmp_path / "half.ckpt", weights_only=False)["state_dict"]
    assert not any("embeddings" in name or "layer.0" in name for name in held)
    resumed, _ = trained(4, str(tmp_path / "half.ckpt"))
    assert len(whole.steps) == 12
    assert_same_steps(resumed.steps, whole.steps[6:], atol=1e-6, rtol=0)
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_frozen_copy_of_a_partly_trained_encoder_has_its_vectors(tiny_bert, tmp_path):
    encoder = TransformersEncoder(tiny_bert(), trainable_layers=1)
    with torch.no_grad():
        next(one for one in encoder.parameters() if one.requires_grad).mul_(1.1)
    batch = encoder.get_collate_fn()(TEXTS[:2])
    copied = encoder.frozen_copy(tmp_path / "copy")
    assert not copied.trainable
    torch.testing.assert_close(copied(batch), encoder.eval()(batch), rtol=1e-5, atol=1e-6)
