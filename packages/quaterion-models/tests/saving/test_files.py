import json
import os
import stat

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from quaterion_models.saving import files, strict_json
from quaterion_models.saving.files import (
    ModelFolderError,
    check_inside,
    check_version,
    field,
    read_json,
    read_state,
    state_shapes,
    sync_folder,
    write_json,
    write_state,
)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3)
        self.other.weight = self.one.weight
        self.view = nn.Parameter(torch.arange(6.0).view(2, 3).t())
        self.register_buffer("part", torch.arange(100.0)[10:12])


class Extra(nn.Module):
    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


def test_a_state_comes_back_with_shared_and_strided_tensors(tmp_path):
    one, other = Tied(), Tied()
    nn.init.normal_(one.view)
    write_state(one, tmp_path / "s.safetensors")
    read_state(other, tmp_path / "s.safetensors")
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert (tmp_path / "s.safetensors").stat().st_size < 2000  # not the 100 numbers that `part` is cut from


def test_dtypes_come_back(tmp_path):
    one, other = nn.Linear(2, 2).to(torch.float16), nn.Linear(2, 2)
    write_state(one, tmp_path / "s.safetensors")
    read_state(other, tmp_path / "s.safetensors")
    assert other.weight.dtype == torch.float16
    assert other.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_precision_of_floating_point_fits_any_other(tmp_path, dtype):
    one, other = nn.Linear(2, 2).to(dtype), nn.Linear(2, 2).to(torch.bfloat16)
    write_state(one, tmp_path / "s.safetensors")
    read_state(other, tmp_path / "s.safetensors")
    assert torch.equal(other.weight, one.weight)


@pytest.mark.parametrize(("own", "stored"), [(torch.float32, torch.int32), (torch.int64, torch.float32)])
def test_whole_numbers_and_floating_point_do_not_fit_each_other(tmp_path, own, stored):
    module = nn.Module()
    module.register_buffer("table", torch.zeros(2, dtype=own))
    save_file({"table": torch.zeros(2, dtype=stored)}, tmp_path / "s.safetensors")
    with pytest.raises(ModelFolderError, match="tensor 'table' is of type [IF][36][24], a Module has"):
        read_state(module, tmp_path / "s.safetensors")


def test_an_empty_state_comes_back(tmp_path):
    write_state(nn.Identity(), tmp_path / "s.safetensors")
    assert state_shapes(tmp_path / "s.safetensors") == {}
    empty = nn.Identity()
    read_state(empty, tmp_path / "s.safetensors")
    assert empty.state_dict() == {}


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_state(nn.Linear(1, 1), tmp_path / "s.safetensors")
    assert stat.S_IMODE((tmp_path / "s.safetensors").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the limit would stay for the tests that follow")
def test_a_state_that_does_not_fit_the_disk_is_named(tmp_path):
    import resource
    import signal

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # what a full disk does
        try:
            write_state(nn.Linear(100, 100), tmp_path / "state")
        except ModelFolderError as error:
            return str(error)
        return ""

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, write().encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        message = told.read()
    assert message.startswith(f"{tmp_path / 'state'} cannot be written: "), message


def test_a_state_that_is_not_tensors_is_refused(tmp_path):
    with pytest.raises(ModelFolderError, match="state of Extra holds '_extra_state' of type dict, expected tensors"):
        write_state(Extra(), tmp_path / "s.safetensors")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(2, 2)}, "has no tensor 'bias', which a Linear needs"),
        (
            {"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "x": torch.zeros(1)},
            "has a tensor 'x', which a Linear",
        ),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, r"'weight' has shape \[2, 3\], .* has \[2, 2\]"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(tmp_path, state, message):
    path = tmp_path / "s.safetensors"
    save_file(state, path)
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    with pytest.raises(ModelFolderError, match=message) as caught:
        read_state(module, path)
    assert str(path) in str(caught.value)
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "longer", "text", "folder", "hostile header"])
def test_a_damaged_state_is_named(tmp_path, damage):
    path = tmp_path / "s.safetensors"
    write_state(nn.Linear(50, 50), path)
    content = path.read_bytes()
    path.unlink()
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "truncated": content[:-1],
                "longer": content + b"x",
                "text": b"hello" * 10,
                "hostile header": len(header).to_bytes(8, "little") + header,
            }[damage]
        )
    with pytest.raises(ModelFolderError, match=r"s\.safetensors is (missing|damaged): .*Save the model again"):
        state_shapes(path)


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "c.json", {"ä": [1, None]})
    assert read_json(tmp_path / "c.json") == {"ä": [1, None]}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b"\xff{}", b'{"a": 1}x', b"[" * 100_000, b'{"n": ' + b"9" * 5000 + b"}"),
        *(b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "\\u0061": 1}]}'),
        *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}'),
    ],
    ids=[
        *("empty", "open", "list", "number", "bytes", "longer", "deep", "huge number", "twice", "twice, written oddly"),
        *("nan", "infinity", "overflow"),
    ],
)
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"c\.json (is damaged|must hold a JSON object)"):
        read_json(path)


def test_missing_folder_and_huge_json_are_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"c\.json is missing: this is no complete model folder"):
        read_json(tmp_path / "c.json")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(ModelFolderError, match=r"d\.json cannot be read"):
        read_json(tmp_path / "d.json")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2**27)  # a sparse file: it takes no space
    with pytest.raises(ModelFolderError, match=r"huge\.json is damaged: it is larger than"):
        read_json(tmp_path / "huge.json")


def test_json_of_too_many_values_is_neither_read_nor_written(tmp_path, monkeypatch):
    monkeypatch.setattr(strict_json, "_MOST_VALUES", 10)
    write_json(tmp_path / "c.json", {"a": [1] * 8})
    read_json(tmp_path / "c.json")
    with pytest.raises(
        ModelFolderError,
        match=r"d\.json is not written: it would hold about 11 values .* up to 10 values .*labels included",
    ):
        write_json(tmp_path / "d.json", {"a": [1] * 10})
    assert not (tmp_path / "d.json").exists()
    (tmp_path / "c.json").write_text(json.dumps({"a": [1] * 10}))
    with pytest.raises(ModelFolderError, match=r"c\.json is damaged: about 11 values"):
        read_json(tmp_path / "c.json")


@pytest.mark.parametrize("version", [None, "1", 0, True, -1, 1.0])
def test_a_version_that_is_none_is_named(tmp_path, version):
    with pytest.raises(ModelFolderError, match='must have a "format_version" of 1, it has'):
        check_version({"format_version": version}, tmp_path)


def test_a_newer_version_says_what_to_do(tmp_path):
    with pytest.raises(ModelFolderError, match="has format_version 2, this library reads up to 1. Install a newer one"):
        check_version({"format_version": 2}, tmp_path)
    check_version({"format_version": 1}, tmp_path)


def test_a_field_of_another_type_is_named(tmp_path):
    assert field({"a": 1}, "a", int, tmp_path) == 1
    for content in ({}, {"a": "1"}, {"a": True}, {"a": None}):
        with pytest.raises(ModelFolderError, match="'a' must be int, it is"):
            field(content, "a", int, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_links_are_followed_only_inside(tmp_path):
    root = tmp_path / "model"
    (root / "sub").mkdir(parents=True)
    (root / "file").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    (root / "sub" / "good").symlink_to("../file")
    check_inside(root, root)
    for name, target in {"up": "../../outside/secret", "dir": "../../outside", "absolute": "/", "ring": "ring"}.items():
        link = root / "sub" / name
        link.symlink_to(target)
        with pytest.raises(ModelFolderError, match=f"{name} is a link that leads out"):
            check_inside(root, root / "sub")
        link.unlink()


def test_folders_may_lie_as_deep_and_hold_as_many_files_as_those_of_models(tmp_path, monkeypatch):
    deepest = tmp_path.joinpath(*["d"] * 32)
    deepest.mkdir(parents=True)
    (tmp_path / "file").touch()
    check_inside(tmp_path, tmp_path)
    (deepest / "file").touch()
    with pytest.raises(ModelFolderError, match=r"more than 32 deep, or more than 100000 files: .*not read"):
        check_inside(tmp_path, tmp_path)
    check_inside(tmp_path, tmp_path / "d")  # the depth is that of what is about to be read
    monkeypatch.setattr(files, "_MOST_ENTRIES", 31)
    with pytest.raises(ModelFolderError, match=r"more than 32 deep, or more than 31 files"):
        check_inside(tmp_path, tmp_path / "d")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFolderError, match="pipe is neither a file nor a folder"):
        check_inside(tmp_path, tmp_path)


def test_syncing_leaves_everything_as_it_is(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("x")
    sync_folder(tmp_path)
    assert (tmp_path / "sub" / "file").read_text() == "x"
