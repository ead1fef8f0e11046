import json
import pickle

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.encoders.sentence_transformer_tokenizer import (
    SentenceTransformerTokenizer,
    load_sentence_transformer,
)
from quaterion_models.heads import EmptyHead

TEXTS = ["One text", "and a longer one", ""]


def tensors(features):
    return {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}


def test_a_plain_transformer_needs_only_its_tokenizer(minilm_folder):
    tokenizer = SentenceTransformerTokenizer(minilm_folder, max_length=4, prompt="q: ")
    features = tokenizer(TEXTS)
    assert features["input_ids"].shape == (3, 4)
    assert tokenizer._tool.model is None
    assert pickle.loads(pickle.dumps(tokenizer))._tool is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": True}),
        ("sentence_bert_config.json", {"max_seq_length": 7, "tokenizer_args": {}}),
        ("modules.json", None),
    ],
)
def test_any_other_model_is_asked_itself_and_gives_the_same(minilm_folder, tmp_path, copy_model, name, content):
    library = pytest.importorskip("sentence_transformers")
    folder = copy_model(minilm_folder, tmp_path / "model")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(json.dumps(content))
    reference = library.SentenceTransformer(str(folder), device="cpu")
    tokenizer = SentenceTransformerTokenizer(folder)
    features = tokenizer(TEXTS)
    assert tokenizer._tool.model is not None
    expected = tensors(reference.preprocess(TEXTS) if hasattr(reference, "preprocess") else reference.tokenize(TEXTS))
    assert all(torch.equal(value, tensors(features)[name]) for name, value in expected.items())
    encoder = SentenceTransformerEncoder(folder)
    vectors = SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).encode(TEXTS)
    np.testing.assert_allclose(vectors, reference.encode(TEXTS), atol=1e-5)


def test_a_model_that_counts_its_prompt_out_is_asked_itself(minilm_folder, tmp_path, copy_model):
    library = pytest.importorskip("sentence_transformers")
    folder = copy_model(minilm_folder, tmp_path / "model")
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    encoder = SentenceTransformerEncoder(folder, prompt="query: ")
    reference = library.SentenceTransformer(str(folder), device="cpu")
    vectors = SimilarityModel(encoder, EmptyHead(384)).encode(TEXTS)
    np.testing.assert_allclose(vectors, reference.encode(TEXTS, prompt="query: "), atol=1e-5)


def test_a_folder_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no-such-kind"}')
    with pytest.raises(ValueError, match=f"{tmp_path} cannot be loaded as a sentence-transformers model: "):
        load_sentence_transformer(tmp_path)


def test_code_of_a_models_own_is_not_run(minilm_folder, tmp_path, copy_model):
    folder = copy_model(minilm_folder, tmp_path / "model")
    ran = tmp_path / "ran"
    code = f"from pathlib import Path; Path({str(ran)!r}).touch()\nclass Evil: pass\n"
    (folder / "evil.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_sentence_transformer(folder)
    (folder / "modules.json").write_text(json.dumps([{"type": "evil.Evil", "path": ""}]))
    with pytest.raises(ValueError, match="Code that a model brings along is never run"):
        load_sentence_transformer(folder)
    assert not ran.exists()
