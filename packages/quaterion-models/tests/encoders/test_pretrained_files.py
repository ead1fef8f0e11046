import importlib.util
import json
import os
import socket
from pathlib import Path

import pytest

from quaterion_models.encoders.pretrained_files import (
    ModelSource,
    check_declared_sizes,
    check_self_contained,
    digests,
    files_in,
    find_model_folder,
    integers_in,
    is_complete,
    read_config,
    read_optional,
    samples,
)
from quaterion_models.saving import strict_json

SOURCE = ModelSource("a test model", "sentence-transformers/all-MiniLM-L6-v2", "transformers", "sentence-transformers")


@pytest.mark.parametrize("name", ["/no/such/folder", "./no/such", "a/b/c", "", "~/x", "a\\b"])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ValueError, match=r"no model at .*expected a folder .* or a name on the Hugging Face hub"):
        find_model_folder(name, None, SOURCE)


def test_a_folder_has_no_revision(tmp_path):
    assert find_model_folder(str(tmp_path), None, SOURCE) == tmp_path.resolve()
    with pytest.raises(ValueError, match="is a folder on this machine, which has no revision 'v2'"):
        find_model_folder(str(tmp_path), "v2", SOURCE)


def test_samples_tell_files_apart_wherever_they_differ(tmp_path):
    path = tmp_path / "model.safetensors"
    content = bytearray(os.urandom(300_000))
    path.write_bytes(content)
    before = samples(tmp_path, [path])
    assert [name for name, _ in before] == ["model.safetensors"]
    for change in (range(20_000, 50_000), [0], [299_999]):  # a part as large as the smallest change of weights
        changed = bytearray(content)
        for place in change:
            changed[place] ^= 1
        path.write_bytes(changed)
        assert samples(tmp_path, [path]) != before
    path.write_bytes(content + b"0")
    assert samples(tmp_path, [path]) != before
    path.write_bytes(content)
    assert samples(tmp_path, [path]) == before
    path.write_bytes(bytes(200_000))
    zeros = samples(tmp_path, [path])
    path.write_bytes(bytes(400_000))
    assert samples(tmp_path, [path]) != zeros
    for short in (b"", b"1", b"2", os.urandom(5000)):
        path.write_bytes(short)
        assert samples(tmp_path, [path]) not in (before, [])


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


@pytest.mark.parametrize("content", [{"a": [1, {"b": ((2, True), None, 3.5, "4")}]}, [2, 1]])
def test_integers_are_found_however_deep_they_lie(content):
    assert sorted(integers_in(content)) == [1, 2]
    for _ in range(5000):
        content = [content]
    assert sorted(integers_in(content)) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_the_place_of_a_configuration_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"config\.json cannot be read: it is neither a file nor a folder"):
        read_config(tmp_path / "config.json")


def test_a_configuration_of_many_values_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"a": float("inf")}))
    assert read_config(tmp_path / "config.json") == {"a": float("inf")}
    monkeypatch.setattr(strict_json, "_MOST_VALUES", 3)
    (tmp_path / "config.json").write_text(json.dumps([1, 2, 3, 4]))
    with pytest.raises(ValueError, match=r"config\.json cannot be read: about 4 values"):
        read_config(tmp_path / "config.json")


def test_an_index_of_odd_values_is_not_complete(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": [], "b": 3, "c": {}}}))
    assert not is_complete(tmp_path)


@pytest.mark.parametrize("content", [[], {"weight_map": ["a"]}, {}])
def test_an_index_that_is_none_is_named(tmp_path, content):
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "1.bin"}}))
    check_self_contained(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"index\.json must hold a dict of weights and their files"):
        check_self_contained(tmp_path)


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
    check_self_contained(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"holds an adapter \(adapter_config\.json\), which needs the weights of another"
    ):
        check_self_contained(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 64, "vocab_size": 10**9},
        {"hidden_size": 10**5},
        {"hidden_size": 64, "max_position_embeddings": 10**10},
        {"d_model": 64, "num_layers": 10**7},
        {"vision_config": {"hidden_size": 64, "image_size": 10**8}},
        {"text_config": {"hidden_size": 64, "vocab_size": 10**8}},
        {"a_config": {"b_config": {"hidden_size": 64, "type_vocab_size": 10**6}}},
        {"hidden_size": 64, "num_key_value_heads": 10**6},
        {"d_model": 64, "d_kv": 10**6},
        {"hidden_sizes": [8, 32], "embedding_size": 10**6},
        {"hidden_size": 64, "conv_stride": [1, [2, 10**7]]},
    ],
)
def test_sizes_that_the_weights_cannot_hold_are_refused(tmp_path, config):
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    usual = {"hidden_size": 64, "vocab_size": 1000, "rope_theta": 10**7, "eos_token_id": [128001], "use_cache": True}
    (tmp_path / "config.json").write_text(json.dumps(usual))
    check_declared_sizes(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"config\.json declares \w+ \d+ for vectors of \d+, more than its weights of 1000"
    ):
        check_declared_sizes(tmp_path)
