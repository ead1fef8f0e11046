"""Models exported to sentence-transformers, loaded by that library."""

import json

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, VectorEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.export import export_sentence_transformers
from quaterion_models.heads import EmptyHead, SkipConnectionHead, StackedProjectionHead, SwitchHead
from quaterion_models.saving.files import ModelFolderError

library = pytest.importorskip("sentence_transformers")

TEXTS = ["word1", "word5 word6 word7", " ".join(["word9"] * 60)]


def trained(head):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return head


@pytest.mark.parametrize("pooling", ["mean", "cls", "last_token"])
def test_a_text_model_with_a_head_gives_equal_vectors(tiny_model, tmp_path, pooling, capfd):
    encoder = TransformersEncoder(tiny_model("bert"), pooling=pooling, normalize=True)
    model = SimilarityModel(encoder, trained(StackedProjectionHead(16, [12, 5], "gelu")))
    random_state = torch.get_rng_state()
    export_sentence_transformers(model, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert torch.equal(random_state, torch.get_rng_state())
    loaded = library.SentenceTransformer(str(tmp_path / "out"))
    np.testing.assert_allclose(loaded.encode(TEXTS), model.encode(TEXTS), atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("kind", "options"), [("gpt2", {"pooling": "last_token"}), ("llama", {}), ("bert", {"dtype": "bfloat16"})]
)
def test_without_a_padding_token_and_in_half_precision(tiny_model, tmp_path, kind, options):
    head = trained(SkipConnectionHead(16))
    model = SimilarityModel(TransformersEncoder(tiny_model(kind), **options), head)
    export_sentence_transformers(model, tmp_path / "out")
    loaded = library.SentenceTransformer(str(tmp_path / "out"))
    full = TransformersEncoder(tiny_model(kind), **(options | {"dtype": None}))
    np.testing.assert_allclose(loaded.encode(TEXTS), SimilarityModel(full, head).encode(TEXTS), atol=1e-5)


def test_trained_weights_and_prompts_of_both_sides_go_along(tiny_model, tmp_path):
    prompts = {"query": "word1 word2 ", "document": ""}
    encoder = TransformersEncoder(tiny_model("bert"), trainable=True, prompts=prompts)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.2)
    model = SimilarityModel(encoder, EmptyHead(16))
    export_sentence_transformers(model, tmp_path / "out")
    loaded = library.SentenceTransformer(str(tmp_path / "out"))
    queries, documents = model.encode_query(TEXTS), model.encode_document(TEXTS)
    np.testing.assert_allclose(loaded.encode(TEXTS), queries, atol=1e-5)
    np.testing.assert_allclose(loaded.encode_query(TEXTS), queries, atol=1e-5)
    np.testing.assert_allclose(loaded.encode_document(TEXTS), documents, atol=1e-5)
    assert np.abs(queries - documents).max() > 0.01


def test_the_real_model_with_a_head_of_several_layers(minilm_folder, tmp_path):
    model = SimilarityModel(SentenceTransformerEncoder(minilm_folder), trained(SkipConnectionHead(384, n_layers=2)))
    export_sentence_transformers(model, tmp_path / "out")
    kinds = [entry["type"].rpartition(".")[2] for entry in json.loads((tmp_path / "out" / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", "Normalize", "Dense"]
    texts = ["a", "Where is my card?", "a b c " * 200]
    again = SentenceTransformerEncoder(tmp_path / "out")  # which takes the folder for one of its own
    found, wanted = SimilarityModel(again, EmptyHead(384)).encode(texts), model.encode(texts)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exported_says_why_and_nothing_is_written(tiny_model, tmp_path):
    encoder = TransformersEncoder(tiny_model("bert"))
    sided = SwitchHead({"query": EmptyHead(16), "document": EmptyHead(16)}, 16)
    for model, message in [
        (SimilarityModel(encoder, sided), "a SwitchHead cannot be folded"),
        (SimilarityModel({"a": encoder, "b": VectorEncoder(2)}, EmptyHead(18)), "the model joins 2 encoders"),
        (SimilarityModel(VectorEncoder(2), EmptyHead(2)), "the encoder is a VectorEncoder, and only"),
    ]:
        with pytest.raises(ValueError, match=message):
            export_sentence_transformers(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_is_not_replaced(tiny_model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model = SimilarityModel(TransformersEncoder(tiny_model("bert")), EmptyHead(16))
    with pytest.raises(ModelFolderError, match="holds files"):
        export_sentence_transformers(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
