import json

import pytest

from quaterion_models.encoders.sentence_transformer_files import (
    check_module_sizes,
    declared_size,
    leaves_prompt_out,
    model_files,
    read_modules,
)


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def modules(*kinds):
    return [{"type": f"sentence_transformers.models.{kind}", "path": f"{n}_{kind}"} for n, kind in enumerate(kinds)]


def test_the_real_model_is_described_without_loading_it(minilm_folder):
    assert [module.kind for module in read_modules(minilm_folder)] == ["Transformer", "Pooling", "Normalize"]
    assert declared_size(minilm_folder) == 384
    check_module_sizes(minilm_folder)
    names = [path.relative_to(minilm_folder).as_posix() for path in model_files(minilm_folder)]
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json"} <= set(names)
    assert not {"README.md", "data_config.json", ".gitattributes"} & set(names)
    assert not leaves_prompt_out(minilm_folder)


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
