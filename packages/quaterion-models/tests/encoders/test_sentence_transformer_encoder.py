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
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

TEXTS = [
    "A man is eating food.",
    "",
    "größer – 日本語 🙂",
    "short",
    "A longer text, of more than the 256 tokens that the model takes. " * 40,
    "The same words in another order.",
]


@pytest.fixture(scope="session")
def reference(minilm_folder):
    """The model as sentence-transformers itself runs it."""
    library = pytest.importorskip("sentence_transformers")
    return library.SentenceTransformer(str(minilm_folder), device="cpu")


@pytest.fixture(scope="session")
def shared(minilm_folder):
    """One loaded encoder for the tests that only read it."""
    return SentenceTransformerEncoder(minilm_folder)


def model_of(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size))


def test_gives_the_vectors_of_sentence_transformers(shared, reference):
    expected = reference.encode(TEXTS, batch_size=2)
    got = model_of(shared).encode(TEXTS, batch_size=2)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.min((got * expected).sum(axis=1)) >= 1 - 1e-6


def test_the_same_texts_give_the_same_bits(shared):
    model = model_of(shared)
    assert np.array_equal(model.encode(TEXTS), model.encode(TEXTS))


def test_tokenising_is_that_of_sentence_transformers(shared, reference):
    got = shared.get_collate_fn()(TEXTS)
    expected = reference.preprocess(TEXTS) if hasattr(reference, "preprocess") else reference.tokenize(TEXTS)
    tensors = {name: value for name, value in expected.items() if isinstance(value, torch.Tensor)}
    assert got.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("options", [{"max_length": 8}, {"prompt": "query: "}, {"normalize": True}])
def test_settings_do_what_they_say(minilm_folder, reference, options):
    encoder = SentenceTransformerEncoder(minilm_folder, **options)
    plain = copy.deepcopy(reference)
    if "max_length" in options:
        plain.max_seq_length = 8
    expected = plain.encode(TEXTS, prompt=options.get("prompt"))
    np.testing.assert_allclose(model_of(encoder).encode(TEXTS), expected, atol=1e-5)
    assert encoder.fingerprint() != SentenceTransformerEncoder(minilm_folder).fingerprint()


def test_the_default_prompt_of_a_model_is_used(minilm_folder, reference, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "prompted")
    config = {"prompts": {"task": "task: "}, "default_prompt_name": "task"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    texts = TEXTS[:2]
    prompted = model_of(SentenceTransformerEncoder(folder)).encode(texts)
    np.testing.assert_allclose(prompted, reference.encode(texts, prompt="task: "), atol=1e-5)
    plain = model_of(SentenceTransformerEncoder(folder, prompt="")).encode(texts)
    np.testing.assert_allclose(plain, reference.encode(texts), atol=1e-5)


def test_prompts_of_each_side_are_those_of_sentence_transformers(minilm_folder, tmp_path, copy_model):
    library = pytest.importorskip("sentence_transformers")
    folder = copy_model(minilm_folder, tmp_path / "prompted")
    config = {"prompts": {"query": "query: ", "passage": "passage: ", "task": "task: "}, "default_prompt_name": "task"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    reference = library.SentenceTransformer(str(folder), device="cpu")
    model = model_of(SentenceTransformerEncoder(folder, prompts="auto"))
    assert model.encoders["default"].settings["prompts"] == {"query": "query: ", "document": "passage: "}
    assert model.two_sided
    for encode, name in ((model.encode_query, "query"), (model.encode_document, "passage")):
        np.testing.assert_allclose(encode(TEXTS[:4]), reference.encode(TEXTS[:4], prompt_name=name), atol=1e-5)
    # Without prompts= nothing is changed: one prompt, and one side.
    plain = model_of(SentenceTransformerEncoder(folder))
    assert not plain.two_sided
    np.testing.assert_allclose(plain.encode(TEXTS[:4]), reference.encode(TEXTS[:4], prompt="task: "), atol=1e-5)


def test_prompts_are_refused_where_the_pooling_leaves_them_out(minilm_folder, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "model")
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    with pytest.raises(
        ValueError, match=r"leaves the prompt out of the mean .* prompts are not possible with this model"
    ):
        SentenceTransformerEncoder(folder, prompts={"query": "q: ", "document": ""})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_half_precision_give_vectors_of_float32(minilm_folder, shared, dtype):
    encoder = SentenceTransformerEncoder(minilm_folder, dtype=dtype)
    vectors, expected = model_of(encoder).encode(TEXTS[:4]), model_of(shared).encode(TEXTS[:4])
    assert {parameter.dtype for parameter in encoder.loaded().parameters()} == {getattr(torch, dtype)}
    assert vectors.dtype == np.float32 and not np.array_equal(vectors, expected)
    np.testing.assert_allclose(vectors, expected, atol=0.02)
    assert encoder.fingerprint() != shared.fingerprint()


def test_size_fingerprint_and_keys_load_neither_weights_nor_libraries(minilm_folder):
    code = f"""
import sys
from quaterion_models.encoders import SentenceTransformerEncoder
encoder = SentenceTransformerEncoder({str(minilm_folder)!r})
print(encoder.embedding_size, encoder.fingerprint(), encoder.cache_key("a").hex())
encoder.get_collate_fn()
assert not {{"transformers", "sentence_transformers", "huggingface_hub", "tokenizers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    encoder = SentenceTransformerEncoder(minilm_folder)
    assert done.stdout.split() == ["384", encoder.fingerprint(), encoder.cache_key("a").hex()]


def test_the_fingerprint_is_that_of_the_content_wherever_it_lies(minilm_folder, tmp_path):
    folder = shutil.copytree(minilm_folder, tmp_path / "copy")
    encoder = SentenceTransformerEncoder(folder)
    before = encoder.fingerprint()
    assert before == SentenceTransformerEncoder(minilm_folder).fingerprint()
    (folder / "README.md").write_text("other words")
    assert encoder.fingerprint() == before
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert encoder.fingerprint() != before


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"])
def test_every_file_that_matters_is_in_the_fingerprint(minilm_folder, tmp_path, copy_model, name):
    folder = copy_model(minilm_folder, tmp_path / "copy")
    before = SentenceTransformerEncoder(folder).fingerprint()
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert SentenceTransformerEncoder(folder).fingerprint() != before


def test_a_frozen_one_has_no_parameters_and_no_state(shared):
    model_of(shared).encode(["a"])
    assert list(shared.parameters()) == []
    assert shared.state_dict() == {}
    shared.train()
    backend = shared.loaded()
    assert not any(part.training for part in backend.modules())
    assert not any(parameter.requires_grad for parameter in backend.parameters())


def test_a_trainable_one_trains(minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True)
    model = model_of(encoder).train()
    before = encoder.fingerprint()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(model.get_collate_fn()(["a text", "another"])).sum().backward()
    optimizer.step()
    assert encoder.model.training
    assert encoder.fingerprint() != before


def test_lazy_weights_follow_the_module(minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder).to(torch.float64)
    assert model_of(encoder).encode(["a"]).dtype == np.float64
    encoder.to(torch.float32)
    assert model_of(encoder).encode(["a"]).dtype == np.float32
    assert encoder.fingerprint() != encoder.to(torch.float16).fingerprint()


def test_copies_and_pickles_leave_the_weights_out_and_read_them_again(shared):
    expected = model_of(shared).encode(["a"])
    data = pickle.dumps(shared)
    assert len(data) < 10_000
    assert np.array_equal(model_of(pickle.loads(data)).encode(["a"]), expected)
    assert len(pickle.dumps(shared.get_collate_fn())) < 1000


def test_the_collate_function_works_in_workers(shared):
    loader = DataLoader(TEXTS[:4], batch_size=2, num_workers=2, collate_fn=shared.get_collate_fn())
    direct = shared.get_collate_fn()
    for number, batch in enumerate(loader):
        expected = direct(TEXTS[2 * number : 2 * number + 2])
        assert torch.equal(batch["input_ids"], expected["input_ids"])


def test_a_frozen_one_is_saved_as_its_files(minilm_folder, shared, tmp_path):
    model = model_of(SentenceTransformerEncoder(minilm_folder, max_length=16, prompt="p: "))
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert np.array_equal(loaded.encode(TEXTS), model.encode(TEXTS))
    assert loaded.encoders["default"].fingerprint() == model.encoders["default"].fingerprint()
    loaded.save(tmp_path / "model")  # onto the very files it would read its weights from
    assert np.array_equal(SimilarityModel.load(tmp_path / "model").encode(TEXTS[:2]), model.encode(TEXTS[:2]))
    assert str(minilm_folder) not in (tmp_path / "model" / "config.json").read_text()


@pytest.mark.slow
def test_a_trained_one_is_saved_with_its_weights(minilm_folder, tmp_path):
    model = model_of(SentenceTransformerEncoder(minilm_folder, trainable=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    model.save(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.encoders["default"].trainable
    np.testing.assert_allclose(loaded.encode(TEXTS[:2]), model.eval().encode(TEXTS[:2]), atol=1e-6)
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]


@pytest.fixture(scope="session")
def saved_once(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "encoder"
    SentenceTransformerEncoder(minilm_folder).save(folder)
    return folder


@pytest.fixture
def saved(saved_once, tmp_path, copy_model):
    return copy_model(saved_once, tmp_path / "encoder")


def test_pickles_and_code_in_a_saved_folder_are_refused(saved):
    for name in ("pytorch_model.bin", "modeling_evil.py", "1_Pooling/x.pkl"):
        (saved / "model" / name).write_bytes(b"\x80\x04")
        with pytest.raises(ModelFolderError, match=r"could hold code: .*safetensors only"):
            SentenceTransformerEncoder.load(saved)
        (saved / "model" / name).unlink()


@pytest.mark.parametrize("kind", ["os.system", "modeling_evil.Encoder", "sentence_transformers.models.Evil", 3, None])
def test_foreign_modules_are_refused(saved, kind):
    path = saved / "model" / "modules.json"
    modules = json.loads(path.read_text())
    modules[1]["type"] = kind
    path.write_text(json.dumps(modules))
    with pytest.raises(ModelFolderError, match=r"modules\.json (names|must hold)"):
        SentenceTransformerEncoder.load(saved)


@pytest.mark.parametrize("place", ["../..", "/etc", 3, None])
def test_module_paths_out_of_the_folder_are_refused(saved, place):
    path = saved / "model" / "modules.json"
    modules = json.loads(path.read_text())
    modules[1]["path"] = place
    path.write_text(json.dumps(modules))
    with pytest.raises(ModelFolderError, match=r"leads out of the model's folder|must hold a list of modules|no such"):
        SentenceTransformerEncoder.load(saved)


def test_huge_declared_sizes_are_refused(saved):
    path = saved / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"vocab_size": 10**12}))
    with pytest.raises(ModelFolderError, match="declares vocab_size 1000000000000 for vectors of 384, more than"):
        SentenceTransformerEncoder.load(saved)


@pytest.mark.parametrize("name", ["encoder.json", "model/modules.json", "model"])
def test_damaged_saved_folders_are_named(saved, name):
    path = saved / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_text("{")
    with pytest.raises(ModelFolderError, match=path.name):
        SentenceTransformerEncoder.load(saved)


def test_truncated_weights_are_named(saved):
    weights = saved / "model" / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-10])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors is damaged"):
        SentenceTransformerEncoder.load(saved)
    model_folder = saved / "model"
    with pytest.raises(ValueError, match="cannot be loaded as a sentence-transformers model"):
        model_of(SentenceTransformerEncoder(model_folder)).encode(["a"])


@pytest.mark.parametrize("batch", [[{"text": "a"}], ["a", None], [3], [b"a"]])
def test_what_is_no_text_is_named(shared, batch):
    with pytest.raises(TypeError, match=r"takes text, got \w+( at position 1 of the batch)?\. Pass"):
        shared.get_collate_fn()(batch)


@pytest.mark.parametrize("length", [0, -3, 1.5])
def test_a_wrong_max_length_is_named(minilm_folder, length):
    with pytest.raises(ValueError, match="max_length must be an integer of at least 1"):
        SentenceTransformerEncoder(minilm_folder, max_length=length)


class Louder(SentenceTransformerEncoder):
    def forward(self, batch):
        return super().forward(batch) * 2


class Shorter(SentenceTransformerEncoder):
    letters = 3

    def get_collate_fn(self):
        inner, letters = super().get_collate_fn(), self.letters
        return lambda texts: inner([text[:letters] for text in texts])


def test_what_a_subclass_or_an_object_adds_is_in_the_fingerprint(minilm_folder, tmp_path, copy_model):
    makers = [SentenceTransformerEncoder, Louder, Shorter]
    prints = [make(minilm_folder).fingerprint() for make in makers]
    assert len(set(prints)) == 3
    copied = copy_model(minilm_folder, tmp_path / "copy")
    assert [make(copied).fingerprint() for make in makers] == prints
    for name, value in {
        "forward": lambda batch: batch,
        "scale": 2,
        "letters": 4,
        "extra": torch.nn.Linear(1, 1),
    }.items():
        for make, before in zip(makers, prints, strict=True):
            encoder = make(minilm_folder)
            setattr(encoder, name, value)
            assert encoder.fingerprint() != before
    encoder = SentenceTransformerEncoder(minilm_folder)
    encoder.register_forward_hook(lambda module, inputs, output: output * 2)
    assert encoder.fingerprint() != prints[0]
    bound = SentenceTransformerEncoder(minilm_folder)
    bound.forward = Louder.forward.__get__(bound)
    assert bound.fingerprint() != prints[0]


def double_weights(folder):
    safetensors = pytest.importorskip("safetensors.torch")
    path = folder / "model.safetensors"
    weights = {
        name: value * 2 if value.is_floating_point() else value for name, value in safetensors.load_file(path).items()
    }
    path.unlink()
    safetensors.save_file(weights, path, metadata={"format": "pt"})


def test_files_replaced_under_a_loaded_one_are_loaded_again(minilm_folder, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "copy")
    encoder = SentenceTransformerEncoder(folder)
    before, vector = encoder.fingerprint(), model_of(encoder).encode(["a text"])
    double_weights(folder)
    fresh = SentenceTransformerEncoder(folder)
    assert encoder.fingerprint() == fresh.fingerprint() != before
    again = model_of(encoder).encode(["a text"])
    assert np.array_equal(again, model_of(fresh).encode(["a text"]))
    assert not np.allclose(again, vector)


def test_files_replaced_between_fingerprint_and_loading_are_refused(minilm_folder, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "copy")
    encoder = SentenceTransformerEncoder(folder)
    encoder.fingerprint()
    double_weights(folder)
    with pytest.raises(ValueError, match=r"have changed since .* fingerprint was taken.*Build the encoder again"):
        model_of(encoder).encode(["a text"])
    encoder.fingerprint()
    model_of(encoder).encode(["a text"])


def test_lengths_are_numbers_of_tokens(shared):
    tokens = shared.get_collate_fn()(TEXTS)["attention_mask"].sum(1).tolist()
    assert shared.lengths(TEXTS) == tokens
    assert max(tokens) == 256  # what the model takes
    assert shared.lengths(["abc", 5]) == [3, 0]  # not all are texts: those of a subclass with records, say


def test_the_tokenizer_is_kept_until_the_files_are_looked_at_again(minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder)
    tokenizer = encoder.get_collate_fn()
    assert encoder.get_collate_fn() is tokenizer
    encoder.fingerprint()
    assert encoder.get_collate_fn() is not tokenizer


@pytest.mark.parametrize(("dtype", "array"), [(torch.float16, np.float16), (torch.bfloat16, np.float32)])
def test_half_precision_gives_nearly_the_same_vectors(minilm_folder, shared, dtype, array):
    model = model_of(SentenceTransformerEncoder(minilm_folder)).to(dtype)
    got, expected = model.encode(TEXTS), model_of(shared).encode(TEXTS)
    assert got.dtype == array
    assert model.encode(TEXTS[:1], to_numpy=False).dtype == dtype
    # The vectors have length 1. bfloat16 rounds to 8 bits, a relative error of up to 2^-9 in each operation.
    assert np.min((got.astype(np.float32) * expected).sum(axis=1)) >= 0.99


def test_a_limit_that_the_model_cannot_keep_is_named(minilm_folder):
    with pytest.raises(ValueError, match="max_length is 513, but the model in .* takes 512 tokens at the most"):
        SentenceTransformerEncoder(minilm_folder, max_length=513)
    assert SentenceTransformerEncoder(minilm_folder, max_length=512).lengths(["word " * 600]) == [512]
    with pytest.raises(
        ValueError, match=r"may have 2 tokens at the most, but .* adds 2 to each\. Give a higher max_length"
    ):
        SentenceTransformerEncoder(minilm_folder, max_length=2).get_collate_fn()(["a"])


def test_every_trainable_parameter_gets_a_gradient(minilm_folder):
    pytest.importorskip("sentence_transformers")
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True).train()
    encoder(encoder.get_collate_fn()(TEXTS[:2]))[:, :100].sum().backward()
    without = [name for name, one in encoder.named_parameters() if one.requires_grad and one.grad is None]
    frozen = [name for name, one in encoder.named_parameters() if not one.requires_grad]
    assert without == [] and frozen == ["model.0.model.pooler.dense.weight", "model.0.model.pooler.dense.bias"]


def test_a_pooler_that_gives_the_vectors_learns(minilm_folder):
    encoder = SentenceTransformerEncoder(minilm_folder, trainable=True)
    part = encoder.model[0]
    part.modality_config = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
    encoder.model.requires_grad_()
    encoder.freeze_unused(encoder.model)
    assert all(one.requires_grad for one in encoder.parameters())


def test_a_prompt_that_pooling_leaves_out_is_refused_over_a_trunk(minilm_folder, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "model")
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    SentenceTransformerEncoder(folder, trainable_layers=1)
    with pytest.raises(ValueError, match=r"trainable_layers=1 does not work with the prompt .*include_prompt is false"):
        SentenceTransformerEncoder(folder, trainable_layers=1, prompt="query: ")
