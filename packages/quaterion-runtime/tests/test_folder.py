"""Folders that are incomplete, damaged or hostile: refused, with nothing run and nothing outside read."""

import os
from hashlib import blake2b

import pytest

from quaterion_runtime import Model, RuntimeFolderError


@pytest.mark.parametrize("name", ["text", "two_sided", "joined", "switched"])
def test_golden_folders_load_for_ever(golden, name):
    assert Model.load(golden / name).embedding_size in {4, 6}


@pytest.mark.parametrize("name", ["runtime.json", "model.onnx", "tokenizer-0.json"])
def test_a_missing_file_is_named(folder_copy, name):
    folder = folder_copy("text")
    (folder / name).unlink()
    with pytest.raises(RuntimeFolderError, match=rf"{name} is missing: this is no complete exported folder"):
        Model.load(folder)


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(RuntimeFolderError, match="nowhere is no folder: expected one that `quaterion export` wrote"):
        Model.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["runtime.json", "model.onnx", "tokenizer-0.json"])
def test_a_truncated_file_is_named(folder_copy, name):
    folder = folder_copy("text")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RuntimeFolderError, match=rf"{name} is damaged"):
        Model.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no graph", r"model\.onnx is no ONNX file"), (b"", r"model\.onnx cannot be loaded")],
)
def test_a_graph_with_its_checksum_that_is_no_graph_is_refused(folder_copy, edit, content, message):
    folder = folder_copy("text")
    (folder / "model.onnx").write_bytes(content)
    edit(folder, "graphs", 0, "digest", blake2b(content, digest_size=16).hexdigest())
    with pytest.raises(RuntimeFolderError, match=message):
        Model.load(folder)


def test_files_of_the_hubs_cache_are_links_to_its_blobs(folder_copy):
    folder = folder_copy("text")
    blobs = folder.parent / "models--someone--model" / "blobs"
    snapshot = blobs.parent / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(folder.iterdir()):
        file.rename(blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert Model.load(snapshot).encode("a cat").shape == (1, 4)
    other = snapshot.parent.with_name("others") / "0123abcd"
    other.parent.mkdir()
    snapshot.rename(other)
    with pytest.raises(RuntimeFolderError, match="is a link that leads out of the folder: not followed"):
        Model.load(other)
    other.rename(snapshot)
    (snapshot / "model.onnx").unlink()
    (snapshot / "model.onnx").symlink_to("../../../elsewhere")
    (folder.parent / "elsewhere").write_bytes(b"")
    with pytest.raises(RuntimeFolderError, match="is a link that leads out of the folder: not followed"):
        Model.load(snapshot)


def test_a_newer_format_says_how_to_read_it(folder_copy, edit):
    folder = folder_copy("text")
    edit(folder, "format_version", 2)
    with pytest.raises(RuntimeFolderError, match=r"format_version 2, .* pip install --upgrade quaterion-runtime"):
        Model.load(folder)


OUTSIDE = [
    "../secret.json",
    "/etc/passwd.json",
    "sub/tokenizer.json",
    "..\\secret.json",
    "C:secret.json",
    ".json",
    "a\0.json",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_of_the_folder_are_refused(folder_copy, edit, name):
    folder = folder_copy("text")
    (folder.parent / "secret.json").write_text("{}")
    edit(folder, "graphs", 0, "inputs", 0, "tokenizer", name)
    with pytest.raises(RuntimeFolderError, match="tokenizer must be the plain name of a .json file in the folder"):
        Model.load(folder)


@pytest.mark.parametrize("name", ["runtime.json", "model.onnx", "tokenizer-0.json"])
def test_links_out_of_the_folder_are_not_followed(folder_copy, name):
    folder = folder_copy("text")
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(RuntimeFolderError, match="is a link that leads out of the folder: not followed"):
        Model.load(folder)


def test_a_pipe_is_not_read(folder_copy):
    folder = folder_copy("text")
    (folder / "tokenizer-0.json").unlink()
    os.mkfifo(folder / "tokenizer-0.json")
    with pytest.raises(RuntimeFolderError, match="is missing"):
        Model.load(folder)


FIELDS = [
    (("format_version",), "1", "format_version must be int"),
    (("format_version",), True, "format_version must be int"),
    (("kind",), "model", r"kind must be one of \['quaterion-runtime'\]"),
    (("embedding_size",), 2**40, r"embedding_size must lie in 1\.\."),
    (("embedding_size",), 0, r"embedding_size must lie in 1\.\."),
    (("dimensions",), [9], r"dimensions must be numbers from 1 to 4"),
    (("normalized",), 1, "normalized must be bool"),
    (("precision",), "int4", "precision must be one of"),
    (("graphs",), [], "graphs must be a list of 1 to 16, it has 0"),
    (("graphs",), [{}] * 17, "graphs must be a list of 1 to 16, it has 17"),
    (("graphs", 0), "text", r"graphs\[0\] must be an object"),
    (("graphs", 0, "inputs"), [{}] * 10_000, "inputs must be a list of 1 to 256, it has 10000"),
    (("graphs", 0, "inputs", 0, "kind"), "code", "kind must be one of"),
    (("graphs", 0, "inputs", 0, "max_length"), 10**12, "max_length must lie in"),
    (("graphs", 0, "inputs", 0, "empty_id"), -1, r"empty_id must lie in 0\.\."),
    (("graphs", 0, "inputs", 0, "empty_id"), "[SEP]", "empty_id must be int"),
    (("graphs", 0, "inputs", 0, "padding_side"), "middle", "padding_side must be one of"),
    (("graphs", 0, "inputs", 0, "prompts"), {"query": ""}, "prompts must hold"),
    (("graphs", 0, "inputs", 0, "prompts"), {"query": "", "document": 3}, "prompts must hold"),
    (("graphs", 0, "inputs", 0, "tensors"), {"input_ids": "input_ids", "code": "x"}, "tensors must hold"),
    (("graphs", 0, "inputs", 0, "tensors"), {"input_ids": "input_ids"}, "has the inputs .*attention_mask"),
    (("graphs", 0, "outputs"), {"query": "embedding", "document": "other"}, "the folder names .*'other'"),
    (("graphs", 0, "outputs"), {"query": "embedding"}, "outputs must hold"),
]


@pytest.mark.parametrize(("path", "value", "message"), FIELDS)
def test_a_field_that_is_wrong_is_named(folder_copy, edit, path, value, message):
    folder = folder_copy("text")
    edit(folder, *path, value)
    with pytest.raises(RuntimeFolderError, match=message):
        Model.load(folder)


def test_an_image_input_is_checked_too(folder_copy, edit):
    for path, value, message in [
        (("std",), [1, 0, 1], "std must not have zeros"),
        (("mean",), [1], "mean must be a list of 3 finite numbers"),
        (("mean",), [float("nan"), 0, 0], "mean must be a list of 3 finite numbers"),
        (("std",), [10**400, 1, 1], "std must be a list of 3 finite numbers"),
        (("std",), [True, 1, 1], "std must be a list of 3 finite numbers"),
        (("rescale",), float("inf"), "rescale must be a finite number"),
        (("rescale",), 10**400, "rescale must be a finite number"),
        (("crop",), {"height": 10**6, "width": 4}, "height must lie in"),
        (("resize",), {"longest": 3}, "height must be int"),
        (("resample",), "magic", "resample must be one of"),
    ]:
        folder = folder_copy("switched")
        edit(folder, "graphs", 1, "inputs", 0, *path, value)
        with pytest.raises(RuntimeFolderError, match=message):
            Model.load(folder)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def test_an_array_input_is_checked_too(folder_copy, edit):
    array = {
        "encoder": "numbers",
        "field": "numbers",
        "kind": "array",
        "dtype": "float32",
        "tensors": {"array": "numbers"},
    }
    folder = folder_copy("joined")
    edit(folder, "graphs", 0, "inputs", 1, {**array, "shape": [2]})
    assert Model.load(folder).encode([{"title": "a", "numbers": [1, 2]}]).shape == (1, 6)
    for shape in ([], [0], [-1], [2.0], [True], [1] * 17, [2**62]):
        edit(folder, "graphs", 0, "inputs", 1, {**array, "shape": shape})
        with pytest.raises(RuntimeFolderError, match="shape must be a list of 1 to 16 sizes"):
            Model.load(folder)


def test_two_graphs_for_the_same_kind_of_objects_are_refused(folder_copy, edit):
    folder = folder_copy("switched")
    edit(folder, "graphs", 1, "accepts", "text")
    with pytest.raises(
        RuntimeFolderError, match=r"graphs must accept objects of different kinds, they accept \['text', 'te"
    ):
        Model.load(folder)


def test_a_size_that_the_graph_does_not_give_is_named(folder_copy, edit):
    folder = folder_copy("two_sided")
    edit(folder, "embedding_size", 5)
    with pytest.raises(RuntimeFolderError, match=r"gave float32 \[1, 4\] for 1 objects, expected float32 \[1, 5\]"):
        Model.load(folder).encode("cat")


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b" " * 2**23 + b"}"])
def test_a_configuration_that_is_no_json_object_is_refused(folder_copy, content):
    folder = folder_copy("text")
    (folder / "runtime.json").write_bytes(content)
    with pytest.raises(RuntimeFolderError, match=r"runtime\.json (is damaged|must be an object|is larger)"):
        Model.load(folder)
