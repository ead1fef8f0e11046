"""The real MiniLM and a tiny BERT, trained through `fit`: saved, loaded, checkpointed."""

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.batch import Features, GroupTargets
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss, SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead

pytest.importorskip("sentence_transformers")
# The words of the tiny encoder say nothing to the real one, but differ.
PAIRS = [
    SimilarityPairSample(f"how do I sort word{number}", f"sorting of word{number}")
    for number in (3, 17, 28, 31, 40, 44, 52, 59)
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


def test_a_checkpoint_holds_the_adapters_alone_and_training_goes_on_from_it(
    tiny_bert, model_type, make_trainer, tmp_path
):
    pytest.importorskip("peft")
    folder = tiny_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

    def trained(epochs, **options):
        torch.manual_seed(0)  # of new adapters
        trainer = make_trainer(max_epochs=epochs)
        return fit(model_type, trainer, TransformersEncoder(folder, lora=True), **options), trainer

    whole, _ = trained(2)
    _, first = trained(1)
    first.save_checkpoint(tmp_path / "half.ckpt")
    held = torch.load(tmp_path / "half.ckpt", weights_only=False)["state_dict"]
    assert held and all(".lora_" in name for name in held)
    resumed, second = trained(2, ckpt_path=tmp_path / "half.ckpt")
    assert second.global_step == 4
    learned = {name: one for name, one in whole.model.named_parameters() if ".lora_B" in name}
    assert learned and all(bool(one.any()) for one in learned.values())
    found = dict(resumed.model.named_parameters())
    for name, one in whole.model.named_parameters():
        torch.testing.assert_close(found[name], one, atol=1e-6, rtol=0)


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
