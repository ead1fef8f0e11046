"""A TransformersEncoder through `fit`: cached as uncached, and weights that are not read when nothing is to encode."""

import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.encoders import TransformersEncoder
from quaterion_models.heads import SkipConnectionHead

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

DATA = [SimilarityPairSample(f"w{row} w{row + 1}", f"w{row + 2} " * (row % 3 + 1)) for row in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT with random weights, and a tokenizer of whole words."""
    place = tmp_path_factory.mktemp("bert")
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *(f"w{n}" for n in range(12))])}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(place)
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106  # no password
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(place)
    return place


def test_training_is_the_same_with_and_without_a_cache_that_keeps_the_weights_unread(
    folder, model_type, make_trainer, tmp_path
):
    runs, encoders = [], []
    for caches in (None, CacheConfig(save_dir=tmp_path), CacheConfig(save_dir=tmp_path)):
        encoders.append(TransformersEncoder(folder, pooling="mean", normalize=True))
        torch.manual_seed(0)
        model = model_type(
            encoders=encoders[-1], head=SkipConnectionHead, loss=MultipleNegativesRankingLoss(), caches=caches
        )
        torch.manual_seed(1)
        Quaterion.fit(model, make_trainer(max_epochs=2), PairsSimilarityDataLoader(DATA, batch_size=4, shuffle=True))
        runs.append([value for _, value in model.steps])
    assert runs[0] and runs[1] == pytest.approx(runs[0], rel=1e-5) and runs[2] == runs[1]
    assert [encoder._frozen.model is not None for encoder in encoders] == [True, True, False]


def test_a_change_of_pooling_or_prompts_is_encoded_anew(folder, model_type, make_trainer, tmp_path):
    for options in ({}, {"pooling": "cls"}, {"prompt": "w1 "}, {"dtype": "bfloat16"}, {}):
        model = model_type(
            encoders=TransformersEncoder(folder, **options),
            head=SkipConnectionHead,
            loss=MultipleNegativesRankingLoss(),
            caches=CacheConfig(save_dir=tmp_path),
        )
        Quaterion.fit(model, make_trainer(max_epochs=1), PairsSimilarityDataLoader(DATA, batch_size=4))
    assert len(list(tmp_path.glob("*/manifest.json"))) == 4


def test_prompts_of_each_side_are_encoded_and_cached_each(folder, model_type, make_trainer, tmp_path):
    data = [SimilarityPairSample(f"w{row}", f"w{row}") for row in range(4)]  # the same text on either side
    runs = []
    for caches in (None, CacheConfig(save_dir=tmp_path)):
        torch.manual_seed(0)
        model = model_type(
            encoders=TransformersEncoder(folder, prompts={"query": "w9 ", "document": "w10 w11 "}),
            head=SkipConnectionHead,
            loss=MultipleNegativesRankingLoss(),
            caches=caches,
        )
        torch.manual_seed(1)
        Quaterion.fit(model, make_trainer(max_epochs=2), PairsSimilarityDataLoader(data, batch_size=4))
        runs.append([value for _, value in model.steps])
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)
    (keys,) = tmp_path.glob("*/part-0.keys")
    assert keys.stat().st_size == 16 * 2 * len(data)
