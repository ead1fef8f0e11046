import copy
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.encoders.pooling import POOLINGS
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

transformers = pytest.importorskip("transformers")

ENCODERS = ["bert", "roberta", "mpnet", "electra", "albert", "deberta-v2", "modernbert", "distilbert"]
DECODERS = ["gpt2", "llama", "qwen3", "opt"]
WITH_BOTH = ["t5", "bart"]
LENGTHS = (3, 1, 12, 5, 100, 0)  # in words: the fifth is longer than any model takes, but t5
TEXTS = [" ".join(f"word{(7 * row + 3 * place) % 80}" for place in range(n)) for row, n in enumerate(LENGTHS)]
LIMITS = {"roberta": 38, "mpnet": 38, "t5": None}  # 40 positions, the first two of these models' for padding


def model_of(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size))


def reference_model(folder, kind):
    if kind == "t5":
        return transformers.T5EncoderModel.from_pretrained(folder).eval()
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    return whole.encoder if kind == "bart" else whole


def reference_ids(folder, kind, text, limit):
    """Numbers of a text's tokens, from the vocabulary alone: none of our own code, no padding, no tokenizer."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    ids = [vocabulary[word] for word in text.split()]
    if kind in DECODERS:
        return ids[:limit] or [vocabulary["[SEP]"]]
    return [vocabulary["[CLS]"], *ids[: None if limit is None else limit - 2], vocabulary["[SEP]"]]


def reference_vectors(folder, kind, limit):
    """One text at a time, pooled in every way by a plain loop."""
    model = reference_model(folder, kind)
    vectors = {pooling: [] for pooling in POOLINGS}
    for text in TEXTS:
        ids = reference_ids(folder, kind, text, limit)
        with torch.no_grad():
            tokens = model(input_ids=torch.tensor([ids])).last_hidden_state[0].tolist()
        vectors["mean"].append([sum(column) / len(ids) for column in zip(*tokens, strict=True)])
        vectors["cls"].append(tokens[0])
        vectors["last_token"].append(tokens[-1])
    return {pooling: np.array(rows, dtype=np.float32) for pooling, rows in vectors.items()}


@pytest.mark.parametrize("kind", ENCODERS + DECODERS + WITH_BOTH)
def test_it_equals_a_plain_loop_over_texts_without_padding(tiny_model, kind):
    folder = tiny_model(kind)
    expected = reference_vectors(folder, kind, LIMITS.get(kind, 40))
    for pooling, batch_size in (("mean", 6), ("cls", 4), ("last_token", 4)):
        encoder = TransformersEncoder(folder, pooling=pooling)
        assert encoder.embedding_size == expected[pooling].shape[1]
        np.testing.assert_allclose(model_of(encoder).encode(TEXTS, batch_size), expected[pooling], atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_a_tokenizer_that_pads_on_the_left_gives_the_same(tiny_model, kind):
    folder = tiny_model(kind, padding_side="left")
    assert json.loads((folder / "tokenizer_config.json").read_text())["padding_side"] == "left"
    expected = reference_vectors(folder, kind, 40)
    for pooling in POOLINGS:
        got = model_of(TransformersEncoder(folder, pooling=pooling)).encode(TEXTS)
        np.testing.assert_allclose(got, expected[pooling], atol=1e-5)


def test_a_batch_without_padding_needs_no_mask_and_gives_the_same(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"))
    alike = [TEXTS[0], "word1 word2 word3"]
    batch = encoder.get_collate_fn()(alike)
    assert "attention_mask" not in batch
    with torch.no_grad():
        masked = encoder({**batch, "attention_mask": torch.ones_like(batch["input_ids"])})
        torch.testing.assert_close(encoder(batch), masked, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "last_token"])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_texts_of_which_all_are_empty_have_vectors(tiny_model, kind, pooling):
    encoder = TransformersEncoder(tiny_model(kind), pooling=pooling)
    expected = reference_vectors(tiny_model(kind), kind, 40)[pooling][-1]
    np.testing.assert_allclose(model_of(encoder).encode(["", ""]), [expected, expected], atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_max_length_counts_special_tokens(tiny_model, kind):
    folder = tiny_model(kind)
    expected = reference_vectors(folder, kind, 4)["mean"]
    np.testing.assert_allclose(model_of(TransformersEncoder(folder, max_length=4)).encode(TEXTS), expected, atol=1e-5)


def test_prompt_stands_before_each_text(tiny_model):
    folder = tiny_model("bert")
    got = model_of(TransformersEncoder(folder, prompt="word7 word8 ")).encode(["word1", "word2 word3"])
    expected = model_of(TransformersEncoder(folder)).encode(["word7 word8 word1", "word7 word8 word2 word3"])
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_normalize_scales_to_length_one(tiny_model):
    plain = model_of(TransformersEncoder(tiny_model("bert"))).encode(TEXTS)
    got = model_of(TransformersEncoder(tiny_model("bert"), normalize=True)).encode(TEXTS)
    np.testing.assert_allclose(got, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_the_real_model_gives_the_vectors_of_sentence_transformers(minilm_folder):
    library = pytest.importorskip("sentence_transformers")
    texts = ["A man is eating food.", "", "größer – 日本語 🙂", "A longer text than the model takes. " * 60]
    expected = library.SentenceTransformer(str(minilm_folder), device="cpu").encode(texts)
    encoder = TransformersEncoder(minilm_folder, pooling="mean", normalize=True, max_length=256)
    np.testing.assert_allclose(model_of(encoder).encode(texts), expected, atol=1e-5)


# ---- settings


@pytest.mark.parametrize(
    ("kind", "most"), [("bert", 40), ("roberta", 38), ("mpnet", 38), ("gpt2", 40), ("modernbert", 40)]
)
def test_more_tokens_than_the_model_takes_are_refused(tiny_model, kind, most):
    assert model_of(TransformersEncoder(tiny_model(kind), max_length=most)).encode(TEXTS).shape[0] == len(TEXTS)
    with pytest.raises(ValueError, match=f"max_length is {most + 1}, but the model in .* takes {most} tokens at the"):
        TransformersEncoder(tiny_model(kind), max_length=most + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, r"pooling must be one of \['mean', 'cls', 'last_token'\], got 'max'"),
        ({"max_length": 0}, "max_length must be an integer of at least 1"),
        ({"dtype": "int8"}, r"dtype must be None or one of \['float16', .*\], got 'int8'"),
        ({"prompts": {"query": "q"}}, r'prompts must be \{"query": text, "document": text\}, or "auto" .* got'),
        ({"prompts": "auto"}, r'prompts is "auto", and .* names no prompts for queries or documents'),
    ],
)
def test_wrong_settings_are_named(tiny_model, options, message):
    with pytest.raises(ValueError, match=message):
        TransformersEncoder(tiny_model("bert"), **options)


@pytest.mark.parametrize("batch", [[{"text": "a"}], ["a", None], [3], [b"a"], [np.zeros((2, 2, 3))]])
def test_what_is_no_text_is_named(tiny_model, batch):
    with pytest.raises(
        TypeError, match=r"TransformersEncoder takes text, got \w+( at position 1 of the batch)?\. Pass"
    ):
        TransformersEncoder(tiny_model("bert")).get_collate_fn()(batch)


def test_prompts_of_each_side(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"), prompts={"query": "word1 ", "document": "word2 word3 "})
    side = pickle.loads(pickle.dumps(encoder.get_side_fn()))
    assert (side("word9", "query"), side("word9", "document")) == ("word1 word9", "word2 word3 word9")
    assert side(None, "query") is None
    plain = TransformersEncoder(tiny_model("bert"))
    assert plain.get_side_fn() is None
    model, reference = model_of(encoder), model_of(plain)
    assert np.array_equal(model.encode_query(["word9"]), reference.encode(["word1 word9"]))
    assert np.array_equal(model.encode_document(["word9"]), reference.encode(["word2 word3 word9"]))


# ---- precision


@pytest.mark.parametrize("kind", ["bert", "llama", "t5"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype_is_that_of_the_weights_and_the_vectors_stay_float32(tiny_model, kind, dtype):
    encoder = TransformersEncoder(tiny_model(kind), dtype=dtype)
    full = TransformersEncoder(tiny_model(kind))
    vectors, expected = model_of(encoder).encode(TEXTS), model_of(full).encode(TEXTS)
    assert {parameter.dtype for parameter in encoder.loaded().parameters()} >= {getattr(torch, dtype)}
    assert vectors.dtype == np.float32
    assert not np.array_equal(vectors, expected)
    np.testing.assert_allclose(vectors, expected, atol=0.05 * np.abs(expected).max())
    prints = {TransformersEncoder(tiny_model(kind), dtype=d).fingerprint() for d in (None, "float16", "bfloat16")}
    assert len(prints) == 3


def test_a_cast_of_the_module_is_a_cast_of_weights_and_vectors(tiny_model):
    encoder = TransformersEncoder(tiny_model("llama"))
    assert model_of(encoder).encode(TEXTS).dtype == np.float32
    half = model_of(encoder.half()).encode(TEXTS)
    assert half.dtype == np.float16
    # Loaded before the cast or after it: the same buffers, the same bits.
    fresh = TransformersEncoder(tiny_model("llama")).half()
    assert np.array_equal(half, model_of(fresh).encode(TEXTS))
    assert encoder.fingerprint() == fresh.fingerprint() != TransformersEncoder(tiny_model("llama")).fingerprint()


# ---- frozen and trained


def test_size_fingerprint_and_keys_load_neither_weights_nor_libraries(tiny_model):
    folder = tiny_model("roberta")
    code = f"""
import sys
from quaterion_models.encoders import TransformersEncoder
encoder = TransformersEncoder({str(folder)!r})
print(encoder.embedding_size, encoder.fingerprint(), encoder.cache_key("a").hex())
encoder.get_collate_fn()
assert not {{"transformers", "huggingface_hub", "tokenizers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    encoder = TransformersEncoder(folder)
    assert done.stdout.split() == ["16", encoder.fingerprint(), encoder.cache_key("a").hex()]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_every_file_is_in_the_fingerprint(tiny_model, tmp_path, name):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    before = TransformersEncoder(folder).fingerprint()
    assert before == TransformersEncoder(tiny_model("bert")).fingerprint()
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert TransformersEncoder(folder).fingerprint() != before


def test_every_setting_is_in_the_fingerprint(tiny_model):
    settings = [
        {},
        {"pooling": "cls"},
        {"max_length": 8},
        {"prompt": "a"},
        {"prompts": {"query": "a", "document": "b"}},
        {"normalize": True},
    ]
    prints = [TransformersEncoder(tiny_model("bert"), **options).fingerprint() for options in settings]
    assert len(set(prints)) == len(settings)


def test_a_frozen_one_has_no_parameters_and_no_state(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"))
    model_of(encoder).encode(["word1"])
    assert list(encoder.parameters()) == [] and encoder.state_dict() == {}
    assert not any(part.training for part in encoder.train().loaded().modules())
    assert not any(parameter.requires_grad for parameter in encoder.loaded().parameters())
    assert len(pickle.dumps(encoder)) < 10_000
    assert copy.deepcopy(encoder)._frozen.model is None


def test_the_collate_function_works_in_workers(tiny_model):
    collate = TransformersEncoder(tiny_model("gpt2")).get_collate_fn()
    assert len(pickle.dumps(collate)) < 1000
    for number, batch in enumerate(DataLoader(TEXTS, batch_size=3, num_workers=2, collate_fn=collate)):
        expected = collate(TEXTS[3 * number : 3 * number + 3])
        assert batch.keys() == expected.keys()
        assert torch.equal(batch["input_ids"], expected["input_ids"])


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "qwen3", "t5", "bart"])
def test_a_trained_one_is_saved_with_its_weights(tiny_model, tmp_path, kind):
    encoder = TransformersEncoder(tiny_model(kind), trainable=True, pooling="last_token")
    model = model_of(encoder)
    before = encoder.fingerprint()
    untrained = model.eval().encode(TEXTS)
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.5)
    loss = model(model.get_collate_fn()(TEXTS[:4])).square().sum()
    loss.backward()
    trained = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    assert trained == []
    optimizer.step()
    assert encoder.fingerprint() != before
    expected = model.eval().encode(TEXTS)
    assert not np.allclose(expected, untrained, atol=1e-3)
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].trainable
    np.testing.assert_allclose(loaded.eval().encode(TEXTS), expected, atol=1e-6)
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
    loaded.save(tmp_path / "model")  # over the files that it was loaded from
    np.testing.assert_allclose(SimilarityModel.load(tmp_path / "model").eval().encode(TEXTS), expected, atol=1e-6)


def test_a_frozen_one_is_saved_as_its_files(tiny_model, tmp_path):
    options = {"pooling": "cls", "max_length": 16, "normalize": True, "dtype": "bfloat16"}
    options["prompts"] = {"query": "word1 ", "document": "word2 "}
    model = model_of(TransformersEncoder(tiny_model("modernbert"), **options))
    model.save(tmp_path / "model")
    assert model.encoders["default"]._frozen.model is None
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].settings == model.encoders["default"].settings
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    for encode in ("encode", "encode_query", "encode_document"):
        assert np.array_equal(getattr(loaded, encode)(TEXTS), getattr(model, encode)(TEXTS))
    assert (
        str(tiny_model("modernbert")) not in (tmp_path / "model" / "encoders" / "default" / "encoder.json").read_text()
    )


def test_a_cast_is_kept_by_saving(tiny_model, tmp_path):
    model = model_of(TransformersEncoder(tiny_model("bert"))).half()
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    assert np.array_equal(loaded.encode(TEXTS), model.encode(TEXTS)) and loaded.encode(TEXTS).dtype == np.float16


# ---- what cannot be loaded


def test_a_model_without_a_tokenizer_is_named(tiny_model, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(tiny_model("bert") / name, tmp_path / name)
    with pytest.raises(ValueError, match=r"has no tokenizer: it is not a text model of Hugging Face\. Save the"):
        TransformersEncoder(tmp_path)


def test_a_model_of_texts_and_images_is_named(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": {}, "text_config": {}}))
    with pytest.raises(ValueError, match="is a model of texts and images: encode them, or the texts alone, by ClipEnc"):
        TransformersEncoder(folder)


def test_weights_of_another_model_are_named(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    shutil.copyfile(tiny_model("gpt2") / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"the weights in .* lack \d+ tensors of a BertModel: embeddings\."):
        model_of(TransformersEncoder(folder)).encode(["word1"])


def test_a_model_that_brings_code_of_its_own_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"from pathlib import Path; Path({str(ran)!r}).touch()\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": auto_map}))
    with pytest.raises(ValueError, match="cannot be loaded as a text model of Hugging Face"):
        TransformersEncoder(folder, trainable=True)
    assert not ran.exists()


def test_an_adapter_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "copy")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "../other"}))
    for kind in (TransformersEncoder, SentenceTransformerEncoder):
        with pytest.raises(ValueError, match=r"holds an adapter \(adapter_config\.json\).*Merge it into that model"):
            kind(folder)


def test_a_text_model_saved_by_another_encoder_is_not_mixed_up(tiny_model, tmp_path):
    TransformersEncoder(tiny_model("bert")).save(tmp_path)
    with pytest.raises(
        ModelFolderError, match=r"has the settings \['pooling'\], which this SentenceTransformerEncoder"
    ):
        SentenceTransformerEncoder.load(tmp_path)


@pytest.mark.parametrize("max_length", [1, 2])
def test_a_limit_without_room_for_text_is_named(tiny_model, max_length):
    encoder = TransformersEncoder(tiny_model("bert"), max_length=max_length)
    with pytest.raises(
        ValueError, match=rf"may have {max_length} tokens at the most, but .* adds 2 to each\. Give a high"
    ):
        encoder.get_collate_fn()(["word1 word2"])
    roomy = TransformersEncoder(tiny_model("bert"), max_length=3).get_collate_fn()(["word1 word2"])
    assert roomy["input_ids"].shape == (1, 3)
    assert (
        TransformersEncoder(tiny_model("gpt2"), max_length=1).get_collate_fn()(["word1 word2"])["input_ids"].numel()
        == 1
    )


def test_a_trainable_model_whose_files_changed_is_not_the_one_that_the_new_files_give(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("bert"), folder)
    old = TransformersEncoder(folder, trainable=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.5}))
    new = TransformersEncoder(folder, trainable=True)  # of the same weights
    assert old.fingerprint() != new.fingerprint()
