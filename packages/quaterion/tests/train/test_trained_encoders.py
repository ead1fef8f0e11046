"""The real MiniLM, trained through `fit`: saved, loaded, checkpointed."""

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.batch import Features, GroupTargets
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss, SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead

pytest.importorskip("sentence_transformers")
PAIRS = [
    SimilarityPairSample(f"how do I sort {kind}", f"sorting of {kind}")
    for kind in ("lists", "dicts", "files", "rows", "names", "dates", "cards", "books")
]
TEXTS = ["sorting of lists", "a bird"]


def fit(model_type, trainer, encoder, **options):
    torch.manual_seed(0)
    model = model_type(encoders=encoder, head=EmptyHead, loss=MultipleNegativesRankingLoss(), lr=1e-4)
    Quaterion.fit(model, trainer, PairsSimilarityDataLoader(PAIRS, batch_size=4), **options)
    return model


@pytest.mark.slow
def test_a_trained_encoder_is_served_as_it_was_trained(minilm_folder, model_type, make_trainer, tmp_path):
    untrained = SimilarityModel(SentenceTransformerEncoder(minilm_folder), EmptyHead(384)).encode(TEXTS)
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True)
    model = fit(model_type, make_trainer(max_epochs=2), encoder)
    trained = model.model.encode(TEXTS)
    assert np.abs(trained - untrained).max() > 1e-3
    model.save_servable(tmp_path / "model")
    np.testing.assert_allclose(SimilarityModel.load(tmp_path / "model").encode(TEXTS), trained, atol=1e-6)


def test_chunks_of_real_texts_give_the_gradients_of_the_whole_batch(minilm_folder, model_type):
    texts = [text for pair in PAIRS for text in (pair.obj_a, pair.obj_b)]
    texts[3] *= 9  # so long that its chunk alone is padded to it
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True)
    model = model_type(encoders=encoder, head=EmptyHead, loss=SupConLoss()).eval()
    features = Features({}, {"default": encoder.get_collate_fn()(texts)}, [{}] * len(texts))
    targets = GroupTargets(torch.arange(len(texts)) // 2)
    found = []
    for size in (None, 5):
        model.chunk_size = size
        model.zero_grad()
        model.compute_loss(model.embed(features), targets).backward()
        found.append({name: one.grad for name, one in encoder.named_parameters() if one.grad is not None})
    assert len(found[0]) == 101 and found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_of_adapters_is_small_and_training_goes_on_from_it(
    minilm_folder, model_type, make_trainer, tmp_path
):
    pytest.importorskip("peft")
    whole = fit(model_type, make_trainer(max_epochs=2), SentenceTransformerEncoder(minilm_folder, lora=True))
    first = make_trainer(max_epochs=1)
    fit(model_type, first, SentenceTransformerEncoder(minilm_folder, lora=True))
    first.save_checkpoint(tmp_path / "half.ckpt")
    # 6 layers of 384 with rank 8: weights and AdamW's two moments, 4 bytes each; MiniLM alone has 90 MB.
    adapters = 6 * 8 * (4 * 2 * 384 + 2 * (384 + 1536))
    assert (tmp_path / "half.ckpt").stat().st_size == pytest.approx(3 * 4 * adapters, rel=0.1)
    second = make_trainer(max_epochs=2)
    encoder = SentenceTransformerEncoder(minilm_folder, lora=True)
    resumed = fit(model_type, second, encoder, ckpt_path=tmp_path / "half.ckpt")
    assert second.global_step == 4
    learned = {name: one for name, one in whole.model.encoders["default"].named_parameters() if ".lora_B" in name}
    assert learned and all(bool(one.any()) for one in learned.values())
    found = dict(resumed.model.encoders["default"].named_parameters())
    assert learned.keys() <= found.keys() and all(torch.isfinite(found[name]).all() for name in learned)
    np.testing.assert_allclose(resumed.model.encode(TEXTS), whole.model.encode(TEXTS), atol=0.05)


@pytest.mark.slow
def test_a_training_in_bfloat16_from_the_cache_goes_on_from_its_checkpoint(
    minilm_folder, model_type, make_trainer, tmp_path
):
    steps = []
    for epochs, path in ((1, None), (2, tmp_path / "half.ckpt")):
        model = model_type(
            encoders=SentenceTransformerEncoder(minilm_folder),
            head=SkipConnectionHead,
            loss=MultipleNegativesRankingLoss(),
            caches=CacheConfig(save_dir=tmp_path / "vectors"),
        )
        trainer = make_trainer(max_epochs=epochs, precision="bf16-true")
        Quaterion.fit(model, trainer, PairsSimilarityDataLoader(PAIRS, batch_size=4), ckpt_path=path)
        trainer.save_checkpoint(tmp_path / "half.ckpt")
        steps.append(trainer.global_step)
    assert steps == [2, 4]
