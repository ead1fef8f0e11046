import json
import pickle

import pytest
import torch

from quaterion_models.encoders.transformers_tokenizer import TransformersTokenizer, most_tokens

pytest.importorskip("transformers")

TEXTS = ["word1 word2 word3", "word4", ""]


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 40, "pad_token_id": 3}, 36),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "xlnet"}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": -1}, None),
        ({"text_config": {"model_type": "gemma3_text", "max_position_embeddings": 2048}}, 2048),
    ],
)
def test_how_many_tokens_a_model_takes_is_read_from_its_configuration(config, most):
    assert most_tokens(config) == most


def test_the_limit_of_a_real_roberta_is_what_its_positions_hold(tiny_model):
    transformers = pytest.importorskip("transformers")
    folder = tiny_model("roberta")
    most = most_tokens(json.loads((folder / "config.json").read_text()))
    model = transformers.AutoModel.from_pretrained(folder)
    model(torch.full((1, most), 5))
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        model(torch.full((1, most + 1), 5))


@pytest.mark.parametrize(("own", "most"), [(10**30, 40), (1000, 40), (7, 7)])
def test_the_lowest_limit_counts(tiny_model, own, most):
    tokenizer = TransformersTokenizer(tiny_model("bert", model_max_length=own))
    assert tokenizer(["word1 " * 100])["input_ids"].shape == (1, most)
    assert TransformersTokenizer(tokenizer.folder, max_length=5)(["word1 " * 100])["input_ids"].shape == (1, 5)


def test_a_model_without_a_limit_takes_all(tiny_model):
    assert TransformersTokenizer(tiny_model("t5"))(["word1 " * 1000])["input_ids"].shape == (1, 1002)


def test_padding_goes_to_the_right_and_is_masked(tiny_model):
    batch = TransformersTokenizer(tiny_model("gpt2", padding_side="left"))(TEXTS[:2])
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["input_ids"][1, 0] == TransformersTokenizer(tiny_model("gpt2"))(["word4"])["input_ids"][0, 0]


def test_without_padding_there_is_no_mask(tiny_model):
    assert set(TransformersTokenizer(tiny_model("distilbert"))(["word1", "word2"])) == {"input_ids"}


@pytest.mark.parametrize(
    ("kind", "has_types"), [("bert", True), ("distilbert", False), ("gpt2", False), ("llama", False), ("t5", False)]
)
def test_types_of_tokens_are_only_for_models_that_have_them(tiny_model, kind, has_types):
    # gpt2 would take them for words.
    assert ("token_type_ids" in TransformersTokenizer(tiny_model(kind))(TEXTS)) == has_types


def test_an_empty_text_of_a_decoder_is_one_token(tiny_model):
    tokenizer = TransformersTokenizer(tiny_model("gpt2"))
    end = tokenizer.tool().eos_token_id
    assert tokenizer(["", ""])["input_ids"].tolist() == [[end], [end]]
    batch = tokenizer(TEXTS)
    assert batch["input_ids"][2, 0] == end
    assert batch["attention_mask"].sum(1).tolist() == [3, 1, 1]


def test_lengths_are_numbers_of_tokens_up_to_the_limit(tiny_model):
    for kind, special in (("bert", 2), ("gpt2", 0)):
        tokenizer = TransformersTokenizer(tiny_model(kind), max_length=9)
        assert tokenizer.lengths([*TEXTS, "word1 " * 100]) == [3 + special, 1 + special, special, 9]
        before = tokenizer(TEXTS)
        tokenizer.lengths(TEXTS)
        assert torch.equal(tokenizer(TEXTS)["input_ids"], before["input_ids"])


def test_it_is_small_to_pickle_and_loads_again(tiny_model):
    tokenizer = TransformersTokenizer(tiny_model("bert"), max_length=9, prompt="word9 ")
    before = tokenizer(TEXTS)
    data = pickle.dumps(tokenizer)
    assert len(data) < 1000
    assert torch.equal(pickle.loads(data)(TEXTS)["input_ids"], before["input_ids"])
    assert (
        before["input_ids"][2].tolist()[:3]
        == TransformersTokenizer(tokenizer.folder)(["word9"])["input_ids"][0].tolist()
    )


def test_its_fingerprint_is_that_of_settings_and_files(tiny_model):
    folder = tiny_model("bert")
    prints = [
        TransformersTokenizer(folder, **options).fingerprint()
        for options in ({}, {"max_length": 9}, {"prompt": "a"}, {"prompt": "b"})
    ]
    assert len(set(prints)) == 4
    assert TransformersTokenizer(folder).fingerprint() == prints[0]
    assert "model.safetensors" not in {path.name for path in TransformersTokenizer(folder).files()}
