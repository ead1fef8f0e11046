import json
from pathlib import Path

import pytest

from quaterion_models.encoders.sentence_transformer_files import (
    check_declared_sizes,
    declared_size,
    files_digest,
    find_model_folder,
    model_files,
    read_config,
    read_modules,
    read_optional,
)


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def modules(*kinds):
    return [{"type": f"sentence_transformers.models.{kind}", "path": f"{n}_{kind}"} for n, kind in enumerate(kinds)]


def test_the_real_model_is_described_without_loading_it(minilm_folder):
    assert [module.kind for module in read_modules(minilm_folder)] == ["Transformer", "Pooling", "Normalize"]
    assert declared_size(minilm_folder) == 384
    check_declared_sizes(minilm_folder)
    names = [path.relative_to(minilm_folder).as_posix() for path in model_files(minilm_folder)]
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"} <= set(names)
    assert not {"README.md", "data_config.json", ".gitattributes"} & set(names)
    assert [name for name, _ in files_digest(minilm_folder)] == names


@pytest.mark.parametrize(
    ("kinds", "configs", "size"),
    [
        (("Transformer",), [{"hidden_size": 8}], 8),
        (("Transformer", "Pooling"), [{"hidden_size": 8}, {"embedding_dimension": 8, "pooling_mode": "mean"}], 8),
        (("Transformer", "Pooling"), [{}, {"embedding_dimension": 8, "pooling_mode": ["cls", "mean"]}], 16),
        (
            ("Transformer", "Pooling"),
            [{}, {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}],
            16,
        ),
        (("Transformer", "Pooling", "Dense", "Normalize"), [{}, {}, {"out_features": 5}, {}], 5),
        (("StaticEmbedding",), [{}], None),
        (("Transformer", "Pooling", "CNN"), [{}, {}, {}], None),
    ],
)
def test_the_size_is_told_by_the_last_module_that_changes_it(tmp_path, kinds, configs, size):
    write(tmp_path, "modules.json", modules(*kinds))
    for entry, config in zip(modules(*kinds), configs, strict=True):
        write(tmp_path, f"{entry['path']}/config.json", config)
    assert declared_size(tmp_path) == size


def test_a_declared_cut_counts(tmp_path):
    write(tmp_path, "modules.json", modules("Transformer"))
    write(tmp_path, "0_Transformer/config.json", {"hidden_size": 8})
    write(tmp_path, "config_sentence_transformers.json", {"truncate_dim": 3})
    assert declared_size(tmp_path) == 3


def test_a_plain_transformers_model_has_no_modules(tmp_path):
    write(tmp_path, "config.json", {"hidden_size": 8})
    assert read_modules(tmp_path) == []
    assert declared_size(tmp_path) == 8


def test_a_pickled_copy_of_weights_is_left_out(tmp_path):
    write(tmp_path, "config.json", {})
    (tmp_path / "pytorch_model.bin").touch()
    assert [path.name for path in model_files(tmp_path)] == ["config.json", "pytorch_model.bin"]
    (tmp_path / "model.safetensors").touch()
    assert [path.name for path in model_files(tmp_path)] == ["config.json", "model.safetensors"]


def test_a_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has neither modules\.json nor config\.json"):
        read_modules(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "3", '[{"type": "x"}]', "[3]"])
def test_damaged_modules_are_named(tmp_path, content):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ValueError, match=r"modules\.json (cannot be read|names no modules|must hold a list)"):
        read_modules(tmp_path)


def test_configurations_are_read_with_suspicion(tmp_path):
    with pytest.raises(ValueError, match=r"x\.json cannot be read"):
        read_config(tmp_path / "x.json")
    assert read_optional(tmp_path / "x.json") == {}
    (tmp_path / "x.json").write_text("[1]")
    assert read_optional(tmp_path / "x.json") == {}


@pytest.mark.parametrize("name", ["/no/such/folder", "./no/such", "a/b/c", "", "~/x", "a\\b"])
def test_a_missing_folder_is_named(name):
    with pytest.raises(ValueError, match=r"no model at .*expected a folder .* or a name on the Hugging Face hub"):
        find_model_folder(name)


def test_a_name_that_the_hub_does_not_give_is_named(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"no model 'no/such-model': there is no such folder, and .* gave none \("):
        find_model_folder("no/such-model")


def test_a_model_of_the_hub_is_found_where_it_was_downloaded(tmp_path, monkeypatch, minilm_folder, copy_model):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    commit = "0123456789" * 4
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    copy_model(minilm_folder, model / "snapshots" / commit)
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert find_model_folder(name) == model / "snapshots" / commit
        assert find_model_folder(name, revision=commit) == model / "snapshots" / commit


def test_a_folder_is_taken_before_the_hub(tmp_path, monkeypatch):
    (tmp_path / "bert").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model_folder("bert") == Path(tmp_path, "bert").resolve()
