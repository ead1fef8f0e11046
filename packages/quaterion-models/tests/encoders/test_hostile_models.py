"""Models by somebody who means harm, given to the constructors: no code of theirs runs, no file outside is read."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from quaterion_models import SimilarityModel
from quaterion_models.encoders import (
    ClipEncoder,
    ClipImageEncoder,
    ClipTextEncoder,
    ImageEncoder,
    SentenceTransformerEncoder,
    TransformersEncoder,
)
from quaterion_models.heads import EmptyHead

GOLDEN = Path(__file__).parent.parent / "golden" / "format_1" / "sentence_transformer" / "model" / "encoders"
KINDS = [TransformersEncoder, SentenceTransformerEncoder, ImageEncoder, ClipEncoder, ClipTextEncoder, ClipImageEncoder]


class Evil:
    """What a pickle of the attacker's does when it is read."""

    def __reduce__(self):
        return exec, ("import sys; sys.evil_code_ran = True",)


@pytest.fixture(autouse=True)
def nothing_runs():
    yield
    assert not hasattr(sys, "evil_code_ran")


@pytest.fixture
def modules(tmp_path):
    """A sentence-transformers model whose modules all lie in folders of their own."""
    pytest.importorskip("sentence_transformers")
    folder = Path(shutil.copytree(GOLDEN / "default" / "model", tmp_path / "model"))
    transformer = folder / "0_Transformer"
    transformer.mkdir()
    for name in ("config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json"):
        (folder / name).rename(transformer / name)
    (folder / "tokenizer_config.json").rename(transformer / "tokenizer_config.json")
    content = json.loads((folder / "modules.json").read_text())
    content[0]["path"] = transformer.name
    (folder / "modules.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def model(request, tmp_path):
    """A class of encoders, the folder of a model that it takes, and where in it the weights lie."""
    if request.param is SentenceTransformerEncoder:
        folder = request.getfixturevalue("modules")
        return request.param, folder, folder / "0_Transformer"
    name, kind = {
        TransformersEncoder: ("tiny_model", "bert"),
        ImageEncoder: ("tiny_vision", "vit"),
    }.get(request.param, ("tiny_clip", "clip"))
    folder = Path(shutil.copytree(request.getfixturevalue(name)(kind), tmp_path / "model"))
    return request.param, folder, folder


def change(path, **entries):
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **entries}))


def encode(encoder):
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).encode(["search the audio"])


def test_weights_outside_the_folder_are_refused(model):
    cls, folder, place = model
    weights = place / "model.safetensors"
    names = list(load_file(weights))
    shutil.move(weights, folder.parent / "outside.safetensors")
    up = "/".join([".."] * len(place.relative_to(folder.parent).parts))
    index = place / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(names, f"{up}/outside.safetensors")}))
    with pytest.raises(
        ValueError, match=r"index\.json names the weights .*outside.*expected \.safetensors files beside"
    ):
        cls(folder)
    index.unlink()
    change(place / "config.json", transformers_weights=f"{up}/outside.safetensors")
    with pytest.raises(ValueError, match=r"config\.json names the weights .*outside.*files beside it"):
        cls(folder)


@pytest.mark.parametrize(
    "way",
    [
        "evil/attention",
        {"": "evil/attention"},
        {"": "sdpa", "text_config": "evil/attention@main:kernel"},
        [{"": ["evil/attention"]}],
    ],
    ids=str,
)
def test_code_of_the_hub_in_the_place_of_attention_is_refused(model, way):
    cls, folder, place = model
    change(place / "config.json", attn_implementation=way)
    with pytest.raises(ValueError, match=r"config\.json names 'evil/attention.*code that the model would bring along"):
        cls(folder)
    change(place / "config.json", attn_implementation="sdpa", text_config={"_attn_implementation": way})
    with pytest.raises(ValueError, match=r"config\.json names 'evil/attention.*as _attn_implementation"):
        cls(folder)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize(
    "entries", [{"backbone": "evil/model"}, {"image_processor": {"repo_path": "evil/model"}}], ids=str
)
def test_another_model_is_not_fetched(model, file, entries):
    cls, folder, place = model
    change(place / file, backbone=None, repo_path=None)
    cls(folder)
    change(place / file, **entries)
    with pytest.raises(ValueError, match=rf"{file} names 'evil/model' as .*which transformers would fetch"):
        cls(folder)


def test_an_adapter_in_the_place_of_the_weights_is_refused(model):
    cls, folder, place = model
    change(place / "adapter_config.json", base_model_name_or_path="evil/model")
    with pytest.raises(ValueError, match="holds an adapter"):
        cls(folder)


def test_a_module_cannot_ask_for_weights_to_be_unpickled(modules):
    place = modules / "0_Transformer"
    (place / "model.safetensors").unlink()
    config = json.loads((place / "config.json").read_text())
    del config["dtype"]  # so that the library looks for it in the weights
    (place / "config.json").write_text(json.dumps(config))
    torch.save({"x": Evil()}, place / "pytorch_model.bin", pickle_module=pickle)
    change(
        place / "sentence_bert_config.json",
        model_args={"weights_only": False, "use_safetensors": False, "dtype": "auto"},
    )
    with pytest.raises(ValueError, match=r"sentence_bert_config\.json hands \['use_safetensors', 'weights_only'\] on"):
        encode(SentenceTransformerEncoder(modules))


def test_what_a_module_asks_for_is_looked_at_again_when_the_weights_are_read(modules):
    encoder = SentenceTransformerEncoder(modules)
    change(modules / "0_Transformer" / "sentence_bert_config.json", model_kwargs={"allow_all_kernels": True})
    with pytest.raises(ValueError, match=r"hands \['allow_all_kernels'\] on to transformers"):
        encode(encoder)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"tokenizer_name_or_path": "/etc"}, "tokenizer_name_or_path"),
        ({"tokenizer_args": {"tokenizer_file": "/etc/passwd"}}, "tokenizer_file"),
        ({"config_args": {"transformers_weights": "../../x.safetensors"}}, "transformers_weights"),
        ({"model_args": {"gguf_file": "/x.gguf"}}, "gguf_file"),
        ({"model_args": {"device_map": "auto", "offload_folder": "/tmp"}}, "device_map', 'offload_folder"),
        ({"processor_kwargs": {"use_kernels": True}}, "use_kernels"),
    ],
    ids=str,
)
def test_a_module_cannot_name_files_or_code_to_transformers(modules, entries, named):
    # Under any of the names that sentence-transformers gives this file.
    change(modules / "0_Transformer" / "sentence_roberta_config.json", **entries)
    with pytest.raises(ValueError, match=rf"sentence_roberta_config\.json hands \['{named}'\] on to transformers"):
        SentenceTransformerEncoder(modules)


def test_what_is_harmless_is_handed_on(modules):
    change(
        modules / "0_Transformer" / "sentence_bert_config.json",
        model_args={"attn_implementation": "eager", "trust_remote_code": True},
        tokenizer_args={"padding_side": "left", "model_max_length": 8},
    )
    encoder = SentenceTransformerEncoder(modules)
    assert encode(encoder).shape == (1, 8)
    assert encoder.loaded()[0].model.config._attn_implementation == "eager"


@pytest.mark.parametrize(("kind", "setting"), [("WordEmbeddings", "tokenizer_class"), ("Dense", "activation_function")])
def test_a_class_that_a_module_names_is_never_imported(modules, kind, setting):
    content = json.loads((modules / "modules.json").read_text())
    content.append({"idx": 2, "name": "2", "path": "2_Evil", "type": f"sentence_transformers.models.{kind}"})
    (modules / "modules.json").write_text(json.dumps(content))
    (modules / "2_Evil").mkdir()
    change(modules / "2_Evil" / "config.json", **{setting: "evil.Class"})
    save_file({"linear.weight": torch.eye(8)}, modules / "2_Evil" / "model.safetensors")
    with pytest.raises(ValueError, match=rf"config\.json names the {setting} 'evil\.Class', expected one of torch\.nn"):
        SentenceTransformerEncoder(modules)
