"""Saved text encoders by somebody who means harm: no code of theirs runs and no file outside is read."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from quaterion_models import SimilarityModel
from quaterion_models.saving.files import ModelFolderError

pytest.importorskip("sentence_transformers", reason="needs the extra sentence-transformers")

GOLDEN = Path(__file__).parent.parent / "golden" / "format_1" / "sentence_transformer" / "model"
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
# What a module of the attacker's does when it is imported, and what a pickle of theirs does when it is read.
EVIL = "import sys\nsys.evil_code_ran = True\nclass Model: pass\n"
PICKLE = b"\x80\x04csys\n__dict__\n."


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "model"))


@pytest.fixture
def model(folder):
    """The files of the pre-trained model within the folder."""
    return folder / "encoders" / "default" / "model"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    # Where code by a name would come from, were it imported.
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    assert not hasattr(sys, "evil_code_ran")
    assert "evil" not in sys.modules


def change(path, **entries):
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **entries}))


def use(folder):
    """Loads the model and reads its weights, which happens at the first text."""
    return SimilarityModel.load(folder).encode(["search the audio"])


def test_the_folder_itself_is_good(folder):
    assert use(folder).shape == (1, 8)


def test_a_model_in_the_hubs_cache_is_read_through_its_links(folder):
    expected = use(folder)
    repository = folder.parent / "models--user--model"
    snapshot = repository / "snapshots" / ("a" * 40)
    (repository / "snapshots").mkdir(parents=True)
    (repository / "blobs").mkdir()
    folder.rename(snapshot)
    for number, path in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        path.rename(repository / "blobs" / str(number))
        path.symlink_to(os.path.relpath(repository / "blobs" / str(number), path.parent))
    assert (use(snapshot) == expected).all()


@pytest.mark.parametrize(
    "name",
    ["evil.py", "EVIL.PY", "sub/evil.py", "pytorch_model.bin", "model.pt", "x.pkl", "x.pickle", "x.ckpt", "x.pth"],
)
def test_files_that_could_hold_code_are_refused(folder, model, name):
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(PICKLE)
    with pytest.raises(ModelFolderError, match="could hold code"):
        use(folder)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([{"type": "evil.Model", "path": ""}], "names 'evil.Model', which is not one of the modules"),
        ([{"type": "sentence_transformers.models.evil.Model", "path": ""}], "is not one of the modules"),
        ([{"type": "sentence_transformers.models.Transformer", "path": "../../../../.."}], "leads out of the model's"),
        ([{"type": "sentence_transformers.models.Transformer", "path": "/etc"}], "leads out of the model's"),
        ([{"type": "sentence_transformers.models.Router", "path": ""}], "is not one of the modules"),
        ([{"type": 3, "path": ""}], "must hold a list of modules"),
        ({"0": "evil"}, "must hold a list of modules"),
    ],
)
def test_foreign_modules_and_places_are_refused(folder, model, modules, message):
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelFolderError, match=message):
        use(folder)


@pytest.mark.parametrize(
    "part", ["../../../../outside.safetensors", "/etc/passwd", "..\\outside.safetensors", "x.bin", "sub/x.safetensors"]
)
def test_an_index_names_only_weights_beside_it(folder, model, part):
    outside = folder.parent / "outside.safetensors"
    shutil.copy(model / "model.safetensors", outside)
    with safe_open(outside, framework="pt") as file:
        names = list(file.keys())
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, part)}))
    with pytest.raises(
        ModelFolderError, match=r"index\.json names the weights .*expected \.safetensors files beside it"
    ):
        use(folder)


@pytest.mark.parametrize("name", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
def test_code_of_the_hub_in_the_place_of_a_part_is_refused(folder, model, name):
    change(model / "config.json", **{name: "evil/attention"})
    with pytest.raises(ModelFolderError, match="names 'evil/attention' as .*code that the model would bring along"):
        use(folder)
    change(model / "config.json", **{name: "sdpa", "text_config": {name: "evil/attention:kernel"}})
    with pytest.raises(ModelFolderError, match="names 'evil/attention:kernel'"):
        use(folder)


MAP = {"AutoConfig": "evil.Model", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.Model", "evil.Model"]}


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("config.json", {"auto_map": MAP}),
        ("config.json", {"auto_map": MAP, "model_type": "evil"}),
        ("config.json", {"architectures": ["evil.Model"], "trust_remote_code": True}),
        ("tokenizer_config.json", {"auto_map": MAP, "tokenizer_class": "Model"}),
        ("tokenizer_config.json", {"tokenizer_class": "evil.Model"}),
        ("sentence_bert_config.json", {"model_args": {"trust_remote_code": True}, "auto_map": MAP}),
        ("sentence_bert_config.json", {"model_kwargs": {"trust_remote_code": True}, "config_kwargs": {}}),
        ("config_sentence_transformers.json", {"model_type": "evil.Model", "similarity_fn_name": "evil"}),
    ],
)
def test_classes_by_name_are_never_imported(folder, model, name, entries):
    change(model / "config.json", auto_map=MAP)
    change(model / name, **entries)
    try:
        use(folder)
    except ValueError as error:  # of the folder when it is loaded, or of the files when the weights are read
        assert str(model) in str(error)  # noqa: PT017  # either is right; what counts is that nothing ran


@pytest.mark.parametrize("name", ["os.system", "evil.Model", "torch.hub.load", "torch.nn.evil.Model"])
def test_an_activation_by_name_is_never_imported(folder, model, name):
    modules = json.loads((model / "modules.json").read_text())
    entry = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (model / "modules.json").write_text(json.dumps([*modules, entry]))
    (model / "2_Dense").mkdir()
    change(model / "2_Dense" / "config.json", in_features=8, out_features=8, bias=False, activation_function=name)
    save_file({"linear.weight": torch.eye(8)}, model / "2_Dense" / "model.safetensors")
    try:
        use(folder)
    except ValueError as error:
        assert str(model) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "entries",
    [
        {"max_position_embeddings": 10**12},
        {"num_hidden_layers": 10**7},
        {"vocab_size": 10**10},
        {"hidden_size": 10**9},
        {"intermediate_size": 10**9},
    ],
    ids=str,
)
def test_sizes_that_are_declared_but_not_stored_are_refused(folder, model, entries):
    change(model / "config.json", **entries)
    with pytest.raises(ModelFolderError, match="more than its weights of .* bytes can hold"):
        use(folder)


def test_truncated_weights_are_named_when_the_model_is_loaded(folder, model):
    content = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors is damaged"):
        SimilarityModel.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "1_Pooling"])
def test_links_out_of_the_encoders_folder_are_refused(folder, model, name):
    (model / name).rename(folder.parent / "outside")
    (model / name).symlink_to(folder.parent / "outside")
    with pytest.raises(ModelFolderError, match="is a link that leads out"):
        use(folder)


def test_another_adapter_or_model_is_not_fetched(folder, model):
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "evil/model"}))
    with pytest.raises(ModelFolderError, match="holds an adapter"):
        use(folder)
