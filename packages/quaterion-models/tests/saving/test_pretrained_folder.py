"""Folders of pre-trained encoders; what somebody could do to them is in test_hostile_encoders.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.saving.files import ModelFolderError

GOLDEN = (
    Path(__file__).parent.parent / "golden" / "format_1" / "sentence_transformer" / "model" / "encoders" / "default"
)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "encoder"))


def change(folder, **values):
    path = folder / "encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def args(folder):
    return json.loads((folder / "encoder.json").read_text())["args"]


def encode(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).encode(["a search", "another"])


def test_settings_that_came_later_have_their_defaults(folder, tmp_path):
    new = {"dtype": None, "prompts": None}  # what the first folders of SentenceTransformerEncoder lack
    change(folder, args={name: value for name, value in args(folder).items() if name not in new})
    encoder = SentenceTransformerEncoder.load(folder)
    later = {"trainable_layers": None}  # written only where it says something
    assert encoder.settings == new | later | {"max_length": None, "prompt": None, "normalize": False}
    encoder.save(tmp_path / "again")
    assert args(tmp_path / "again") == args(folder) | new
    files = [path.relative_to(folder) for path in (folder / "model").rglob("*") if path.is_file()]
    assert len(files) > 5
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert SentenceTransformerEncoder.load(tmp_path / "again").fingerprint() == encoder.fingerprint()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("trainable", "yes", "bool"),
        ("trainable", 1, "bool"),
        ("max_length", "8", "int or NoneType"),
        ("max_length", True, "int or NoneType"),
        ("prompt", ["p"], "str or NoneType"),
        ("normalize", None, "bool"),
        ("prompts", "auto", "dict or NoneType"),
        ("dtype", 16, "str or NoneType"),
    ],
)
def test_settings_of_another_type_are_named(folder, name, value, expected):
    change(folder, args=args(folder) | {name: value})
    with pytest.raises(ModelFolderError, match=rf"encoder\.json: '{name}' must be {expected}, it is"):
        SentenceTransformerEncoder.load(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_length", 0, "max_length must be an integer of at least 1"),
        ("prompts", {"query": 3, "document": ""}, "prompts must be"),
        ("prompts", {"query": "q"}, "prompts must be"),
        ("dtype", "int8", "dtype must be None or one of"),
    ],
)
def test_settings_of_another_value_are_named(folder, name, value, message):
    change(folder, args=args(folder) | {name: value})
    with pytest.raises(ModelFolderError, match=rf"encoder\.json: {message}"):
        SentenceTransformerEncoder.load(folder)


def test_settings_of_a_newer_version_are_not_passed_over(folder):
    change(folder, args=args(folder) | {"late_interaction": True})
    with pytest.raises(ModelFolderError, match=r"has the settings \['late_interaction'\].*pip install --upgrade"):
        SentenceTransformerEncoder.load(folder)


@pytest.mark.parametrize("cast", ["int8", 3, "float99", ["float16"]])
def test_another_cast_is_named(folder, cast):
    change(folder, cast=cast)
    with pytest.raises(ModelFolderError, match=r"'cast' must be"):
        SentenceTransformerEncoder.load(folder)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_cast_is_kept(folder, tmp_path, dtype):
    encoder = SentenceTransformerEncoder.load(folder).to(getattr(torch, dtype))
    encoder.save(tmp_path / "cast")
    loaded = SentenceTransformerEncoder.load(tmp_path / "cast")
    assert loaded.module_dtype == getattr(torch, dtype)
    assert loaded.fingerprint() == encoder.fingerprint() != SentenceTransformerEncoder.load(folder).fingerprint()


def test_pickled_weights_are_written_as_safetensors(folder, tmp_path):
    pytest.importorskip("sentence_transformers")
    weights = next((folder / "model").rglob("*.safetensors"))
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    encoder = SentenceTransformerEncoder(folder / "model")
    encoder.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.bin"))
    np.testing.assert_allclose(encode(SentenceTransformerEncoder.load(tmp_path / "saved")), encode(encoder), atol=1e-6)
    plain = TransformersEncoder(weights.parent)
    plain.save(tmp_path / "plain")
    assert not list((tmp_path / "plain").rglob("*.bin"))
    np.testing.assert_allclose(encode(TransformersEncoder.load(tmp_path / "plain")), encode(plain), atol=1e-6)


def test_it_may_be_saved_where_it_was_loaded_from(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    SentenceTransformerEncoder.load(folder).save(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_trained_weights_are_not_written_over_those_that_they_were_read_from(folder):
    pytest.importorskip("sentence_transformers")
    encoder = SentenceTransformerEncoder(folder / "model", trainable=True)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ModelFolderError, match="model holds the files that this encoder was read from"):
        encoder.save(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    model = SimilarityModel(encoder, EmptyHead(8))
    model.save(folder.parent / "whole")
    again = SimilarityModel.load(folder.parent / "whole")
    expected = again.encode(["search"])
    again.save(folder.parent / "whole")
    assert np.array_equal(SimilarityModel.load(folder.parent / "whole").encode(["search"]), expected)


@pytest.mark.parametrize("name", ["encoder.json", "model"])
def test_a_missing_part_is_named(folder, name):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelFolderError, match=rf"{path} is missing: this is no complete model folder"):
        SentenceTransformerEncoder.load(folder)


@pytest.mark.parametrize("options", [{"trainable": True}, {"trainable_layers": 1}, {"lora": True}])
def test_trained_weights_in_half_precision_are_loaded_in_it(tiny_model, tmp_path, options):
    if "lora" in options:
        pytest.importorskip("peft")
    encoder = TransformersEncoder(tiny_model("bert"), dtype="bfloat16", **options)
    encoder.save(tmp_path)
    loaded = TransformersEncoder.load(tmp_path)
    found = {name: one.dtype for name, one in loaded.loaded().named_parameters()}
    assert found == {name: one.dtype for name, one in encoder.loaded().named_parameters()}
    batch = encoder.get_collate_fn()(["word1 word2"])
    assert torch.equal(loaded.eval()(batch), encoder.eval()(batch))
    if "trainable_layers" in options:
        assert loaded.get_trunk().fingerprint() == encoder.get_trunk().fingerprint()
