import importlib.util
import json
import socket
from pathlib import Path

import pytest

from quaterion_models.encoders.pretrained_files import (
    ModelSource,
    check_declared_sizes,
    check_no_adapter,
    digests,
    files_in,
    find_model_folder,
    is_complete,
    read_config,
    read_optional,
)

SOURCE = ModelSource("a test model", "sentence-transformers/all-MiniLM-L6-v2", "transformers", "sentence-transformers")


@pytest.mark.parametrize("name", ["/no/such/folder", "./no/such", "a/b/c", "", "~/x", "a\\b"])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ValueError, match=r"no model at .*expected a folder .* or a name on the Hugging Face hub"):
        find_model_folder(name, None, SOURCE)


def test_a_name_that_the_hub_does_not_give_is_named(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"no model 'no/such-model': there is no such folder, and .* gave none \("):
        find_model_folder("no/such-model", None, SOURCE)


def test_a_model_of_the_hub_is_found_where_it_was_downloaded(tmp_path, monkeypatch, minilm_folder, copy_model):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    commit = "0123456789" * 4
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    copy_model(minilm_folder, model / "snapshots" / commit)
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert find_model_folder(name, None, SOURCE) == model / "snapshots" / commit
        assert find_model_folder(name, commit, SOURCE) == model / "snapshots" / commit


def test_a_folder_is_taken_before_the_hub(tmp_path, monkeypatch):
    (tmp_path / "bert").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model_folder("bert", None, SOURCE) == Path(tmp_path, "bert").resolve()


def test_configurations_are_read_with_suspicion(tmp_path):
    with pytest.raises(ValueError, match=r"x\.json cannot be read"):
        read_config(tmp_path / "x.json")
    assert read_optional(tmp_path / "x.json") == {}
    (tmp_path / "x.json").write_text("[1]")
    assert read_optional(tmp_path / "x.json") == {}


# ---- the Hugging Face hub, by a stand-in on this machine


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Runs the stand-in; `find` looks for a model there, or offline."""
    constants = pytest.importorskip("huggingface_hub.constants")
    place = Path(__file__).parent.parent / "saving" / "hub_stand_in.py"
    spec = importlib.util.spec_from_file_location("hub_stand_in", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    _, sign, rest = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")

    with module.HubStandIn() as server:

        def add(name, files):
            server.repositories[name] = repository = module.Repository(private=False)
            repository.branches["main"] = repository.commit(files)

        def find(name, *, offline=False, url=server.url):
            monkeypatch.setattr(constants, "ENDPOINT", url)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + sign + rest)
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
            return find_model_folder(name, None, SOURCE)

        server.add, server.find = add, find
        yield server


def test_a_name_that_is_not_on_the_hub_is_named_online_and_offline(hub):
    for offline, reason in ((False, "404"), (True, "HF_HUB_OFFLINE=0")):
        with pytest.raises(ValueError, match=rf"no model 'me/none': .* gave none \(.*{reason}.*\)\. Check the name"):
            hub.find("me/none", offline=offline)


def test_only_what_is_needed_is_fetched_and_then_no_network_is(hub):
    files = {"config.json": b"{}", "model.safetensors": b"1", "pytorch_model.bin": b"2", "onnx/config.json": b"3"}
    hub.add("me/safe", files | {"README.md": b"4", "modeling.py": b"5", "1_Pooling/config.json": b"{}"})
    hub.add("me/pickled", {"config.json": b"{}", "pytorch_model.bin": b"6"})
    safe, pickled = hub.find("me/safe"), hub.find("me/pickled")
    fetched = {str(path.relative_to(safe)): path.read_bytes() for path in safe.rglob("*") if path.is_file()}
    assert fetched == {"config.json": b"{}", "model.safetensors": b"1", "1_Pooling/config.json": b"{}"}
    assert (pickled / "pytorch_model.bin").read_bytes() == b"6"
    asked = len(hub.requests)
    for name, found in (("me/safe", safe), ("me/pickled", pickled)):
        assert hub.find(name) == hub.find(name, offline=True) == found
    assert len(hub.requests) == asked


def test_a_hub_that_cannot_be_reached_is_named(hub):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ValueError, match=r"no model 'me/model': .* gave none .*Check the name and the connection"):
            hub.find("me/model", url=f"http://127.0.0.1:{unused.getsockname()[1]}")


# ---- the files of a folder


def test_the_files_that_a_model_needs_are_listed_and_digested(tmp_path):
    names = ["config.json", "model.safetensors", "vocab.txt", "spiece.model"]
    for name in (*names, "pytorch_model.bin", "README.md", "training_args.bin", "evil.py", "tf_model.h5"):
        (tmp_path / name).write_text(name)
    assert [path.name for path in files_in([tmp_path])] == sorted(names)
    before = digests(tmp_path, files_in([tmp_path]))
    assert [name for name, _ in before] == sorted(names)
    (tmp_path / "vocab.txt").write_text("other")
    changed = [old[0] for old, new in zip(before, digests(tmp_path, files_in([tmp_path])), strict=True) if old != new]
    assert changed == ["vocab.txt"]


def test_a_copy_without_all_of_its_weights_is_not_complete(tmp_path):
    assert not is_complete(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert not is_complete(tmp_path)
    parts = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (tmp_path / parts["a"]).touch()
    assert not is_complete(tmp_path)
    (tmp_path / parts["b"]).touch()
    assert is_complete(tmp_path)


def test_an_adapter_is_no_model(tmp_path):
    check_no_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"holds an adapter \(adapter_config\.json\), which needs the weights of another"
    ):
        check_no_adapter(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 64, "vocab_size": 10**9},
        {"hidden_size": 10**5},
        {"hidden_size": 64, "max_position_embeddings": 10**10},
        {"d_model": 64, "num_layers": 10**7},
        {"vision_config": {"hidden_size": 64, "image_size": 10**8}},
        {"text_config": {"hidden_size": 64, "vocab_size": 10**8}},
    ],
)
def test_sizes_that_the_weights_cannot_hold_are_refused(tmp_path, config):
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 64, "vocab_size": 1000}))
    check_declared_sizes(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"config\.json declares \w+ \d+ for vectors of \d+, more than its weights of 1000"
    ):
        check_declared_sizes(tmp_path)
