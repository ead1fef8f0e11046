"""What a text encoder's tokenizer is to a program without transformers."""

import json

import pytest

from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.encoders.clip_encoder import ClipTextEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.export.tokens import describe_tokenizer, padded_length

pytest.importorskip("transformers")


def test_limit_padding_and_prompts_are_those_of_the_encoder(tiny_model):
    described, _ = describe_tokenizer(TransformersEncoder(tiny_model("bert"), prompt="word1 "))
    assert described == {
        "max_length": 40,
        "pad_id": 1,
        "pad_type_id": 0,
        "padding_side": "right",
        "prompts": {"query": "word1 ", "document": "word1 "},
        "empty_id": 2,
    }
    prompts = {"query": "q: ", "document": "d: "}
    described, _ = describe_tokenizer(TransformersEncoder(tiny_model("bert"), prompts=prompts, max_length=7))
    assert (described["prompts"], described["max_length"]) == (prompts, 7)


def test_the_file_does_not_depend_on_what_was_tokenised_before(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"))
    _, before = describe_tokenizer(encoder)
    encoder.get_collate_fn()(["word1", "word1 word2 word3"])
    _, after = describe_tokenizer(encoder)
    assert before == after
    content = json.loads(after)
    assert content["truncation"] is None and content["padding"] is None
    assert "word79" in content["model"]["vocab"]


def test_a_tokenizer_that_cuts_on_the_left_is_refused(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert", truncation_side="left"))
    with pytest.raises(ValueError, match='cuts texts on the left, .* Set truncation_side to "right"'):
        describe_tokenizer(encoder)


def test_a_model_that_does_more_than_tokenise_is_refused(minilm_folder, copy_model, tmp_path):
    folder = copy_model(minilm_folder, tmp_path / "model")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 256, "do_lower_case": true}')
    with pytest.raises(ValueError, match="does more with a text than to call its tokenizer"):
        describe_tokenizer(SentenceTransformerEncoder(folder))


def test_only_some_models_pad_every_text_to_one_length(tiny_clip, tiny_model):
    assert padded_length(ClipTextEncoder(tiny_clip("siglip"))) == 16
    assert padded_length(ClipTextEncoder(tiny_clip("clip"))) is None
    assert padded_length(TransformersEncoder(tiny_model("bert"))) is None
