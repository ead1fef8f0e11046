import json

import numpy as np
import pytest

from quaterion_models.file_digest import file_digest
from quaterion_models.search.files import (
    INDEX,
    IndexFolderError,
    checked_field,
    mapped,
    new_name,
    npy_pieces,
    only_writer,
    read_index,
    replace_index,
    write_file,
)

FLOAT = np.dtype("<f4")


def test_a_file_written_in_pieces_is_what_numpy_reads(tmp_path):
    rows = np.random.default_rng(0).standard_normal((10, 3)).astype(FLOAT)
    path = tmp_path / "vectors.npy"
    digest = write_file(path, npy_pieces(rows.shape, FLOAT, [rows[:4], rows[4:5], rows[5:][::1]]))
    assert digest == file_digest(path)
    assert (np.load(path) == rows).all()
    assert (mapped(path, (10, 3), FLOAT) == rows).all()
    with pytest.raises(FileExistsError):
        write_file(path, [b""])


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 2), ">f4"), np.zeros((3, 2), "<f8"), np.zeros((2, 3), "<f4"), np.zeros((3, 2), "<f4", order="F")],
    ids=["big endian", "float64", "another shape", "columns first"],
)
def test_an_array_of_another_kind_is_not_mapped(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(IndexFolderError, match=r"the index float32 \[3, 2\]. Save the index again"):
        mapped(tmp_path / "a.npy", (3, 2), FLOAT)


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    pieces = npy_pieces((2**40, 2**20), FLOAT, [np.zeros((1, 2), FLOAT)])
    write_file(tmp_path / "a.npy", pieces)
    with pytest.raises(IndexFolderError, match="is no whole .npy file"):
        mapped(tmp_path / "a.npy", (2**40, 2**20), FLOAT)


def test_a_piece_that_cannot_be_made_leaves_no_file(tmp_path):
    def pieces():
        yield b"half"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_file(tmp_path / "a", pieces())
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_first_save_has_left_is_no_obstacle_and_goes(tmp_path):
    with only_writer(tmp_path):
        for kind, suffix in (("vectors", ".npy"), ("objects", ".jsonl"), ("index", ".tmp"), ("ann", ".faiss")):
            write_file(tmp_path / new_name(kind, suffix), [b"x"])
    with only_writer(tmp_path):
        replace_index(tmp_path, {"format_version": 1}, set())
    assert {path.name for path in tmp_path.iterdir()} == {INDEX, "index.lock"}
    assert read_index(tmp_path) == {"format_version": 1}


def test_a_file_that_only_looks_like_ours_stays(tmp_path):
    with only_writer(tmp_path):
        replace_index(tmp_path, {"format_version": 1}, set())
        for name in ("vectors-1.npy", "vectors-0123456789abcdef.npy.bak", "my-vectors-0123456789abcdef.npy"):
            (tmp_path / name).touch()
        replace_index(tmp_path, {"format_version": 1}, set())
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"format_version": 1, "format_version": 1}', '{"format_version": NaN}', "\xff", "[" * 10**5],
    ids=["nothing", "a list", "half", "twice", "NaN", "no text", "deep"],
)
def test_an_index_json_that_is_none_is_refused(tmp_path, text):
    (tmp_path / INDEX).write_bytes(text.encode("latin-1"))
    with pytest.raises(IndexFolderError, match=r"index\.json (is damaged|must be a JSON object)"):
        read_index(tmp_path)


def test_fields_have_the_type_they_should_have(tmp_path):
    content = json.loads('{"a": 1, "b": "x", "c": false, "d": -1}')
    assert checked_field(content, "a", int, tmp_path) == 1
    for name, kind in (("b", int), ("c", int), ("a", str), ("nothing", int)):
        with pytest.raises(IndexFolderError, match=f"'{name}' must be {kind.__name__}, it is"):
            checked_field(content, name, kind, tmp_path)
    with pytest.raises(IndexFolderError, match="'d' must not be negative, it is -1"):
        checked_field(content, "d", int, tmp_path)
