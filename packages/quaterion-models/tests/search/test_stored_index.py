import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from quaterion_models.search import ExactIndex, FaissIndex, IndexFolderError, stored_index, stored_vectors
from quaterion_models.search.files import INDEX, only_writer

DIMENSION = 4


def vectors(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)


def filled(rows=10, **options):
    index = ExactIndex(DIMENSION, **options)
    index.add([f"id {row}" for row in range(rows)], vectors(rows), [{"row": row} for row in range(rows)])
    return index


def names(folder):
    return {path.name for path in folder.iterdir()}


def content(folder):
    return json.loads((folder / INDEX).read_text())


def change(folder, **values):
    (folder / INDEX).write_text(json.dumps(content(folder) | values))


def test_a_save_writes_only_what_is_new(tmp_path):
    index = filled(100)
    index.save(tmp_path)
    first = names(tmp_path)
    index.add(["new"], vectors(1, 1))
    index.save(tmp_path)
    assert first < names(tmp_path)
    assert [segment["rows"] for segment in content(tmp_path)["segments"]] == [100, 1]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != INDEX}
    ExactIndex.load(tmp_path).save(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != INDEX} == before
    index = ExactIndex.load(tmp_path)
    index.delete(["id 3"])
    index.save(tmp_path)
    assert len(names(tmp_path) - {path.name for path in before}) == 2  # index.json and what was deleted
    assert len(ExactIndex.load(tmp_path)) == 100


def test_many_small_saves_make_few_files_and_large_segments_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_index, "_SMALL_SEGMENT", 8)
    index = ExactIndex(DIMENSION)
    rows = vectors(40)
    for row in range(40):
        index.add([row], rows[row : row + 1])
        index.save(tmp_path)
    assert [segment["rows"] for segment in content(tmp_path)["segments"]] == [8] * 5
    assert len(names(tmp_path)) == 2 * 5 + 2
    loaded = ExactIndex.load(tmp_path)
    assert [hits[0].id for hits in loaded.search(rows, 1)] == list(range(40))


def test_what_is_mostly_deleted_is_dropped_from_the_files(tmp_path):
    index = filled(20)
    index.save(tmp_path)
    index.delete([f"id {row}" for row in range(10)])
    index.save(tmp_path)
    assert sum(segment["rows"] for segment in content(tmp_path)["segments"]) == 20
    index.delete(["id 10"])
    index.save(tmp_path)
    assert sum(segment["rows"] for segment in content(tmp_path)["segments"]) == 9
    assert content(tmp_path)["deleted"] is None
    index.add(["id 3"], vectors(1, 3))
    for one in (index, ExactIndex.load(tmp_path)):
        assert [hit.id for hit in one.search(vectors(20)[15:16], 1)[0]] == ["id 15"]
    assert index.contains(["id 3", "id 10", "id 11"]) == [True, False, True]


def test_saving_again_elsewhere_writes_all(tmp_path):
    index = filled()
    index.save(tmp_path / "a")
    index.save(tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert ExactIndex.load(tmp_path / "b").search(vectors(2)) == index.search(vectors(2))
    index.save(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    index.save(tmp_path / "a")  # what was written is gone, so all is written again
    assert ExactIndex.load(tmp_path / "a").search(vectors(2)) == index.search(vectors(2))


def test_another_index_is_replaced_and_files_of_others_stay(tmp_path):
    filled(50).save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    filled(3).save(tmp_path)
    assert len(ExactIndex.load(tmp_path)) == 3
    assert len(names(tmp_path)) == 5
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_another_has_saved_meanwhile_is_not_lost(tmp_path):
    filled().save(tmp_path)
    one, other = ExactIndex.load(tmp_path), ExactIndex.load(tmp_path)
    one.add(["one"], vectors(1))
    other.add(["other"], vectors(1))
    one.save(tmp_path)
    with pytest.raises(IndexFolderError, match="was changed since this index was loaded from it"):
        other.save(tmp_path)
    assert ExactIndex.load(tmp_path).contains(["one", "other"]) == [True, False]
    assert other.contains(["other"]) == [True]


def test_an_index_that_is_loaded_outlives_the_next_save(tmp_path):
    filled(20).save(tmp_path)
    reader, expected = ExactIndex.load(tmp_path), filled(20).search(vectors(3))
    filled(5).save(tmp_path)
    assert reader.search(vectors(3)) == expected


def test_two_processes_do_not_save_at_once(tmp_path):
    with only_writer(tmp_path), pytest.raises(IndexFolderError, match="another process is saving an index to"):
        filled().save(tmp_path)
    filled().save(tmp_path)


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(IndexFolderError, match="holds files but no index. Choose another path, or empty it"):
        filled().save(tmp_path)
    assert names(tmp_path) == {"photo.jpg"}
    with pytest.raises(IndexFolderError, match="is a file, expected a folder or nothing"):
        filled().save(tmp_path / "photo.jpg")


def test_a_save_that_fails_leaves_what_was_saved(tmp_path, monkeypatch):
    index = filled()
    index.save(tmp_path)
    index.add(["new"], vectors(1))
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        index.save(tmp_path)
    monkeypatch.undo()
    assert len(ExactIndex.load(tmp_path)) == 10
    index.save(tmp_path)
    assert len(ExactIndex.load(tmp_path)) == 11


def test_after_a_save_elsewhere_or_of_fewer_rows_that_failed_the_next_one_succeeds(tmp_path, monkeypatch):
    index = filled()
    index.save(tmp_path / "a")
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(IndexFolderError, match="holds files but no index"):
        index.save(tmp_path)
    index.delete([f"id {row}" for row in range(8)])
    monkeypatch.setattr(stored_index.files, "replace_index", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    for folder in ("b", "a"):
        with pytest.raises(OSError, match="disk full"):
            index.save(tmp_path / folder)
    monkeypatch.undo()
    for folder in ("a", "b"):
        index.save(tmp_path / folder)
        assert ExactIndex.load(tmp_path / folder).contains(["id 7", "id 8"]) == [False, True]


def test_files_taken_away_while_reading_are_looked_for_again(tmp_path, monkeypatch):
    index = filled()
    index.save(tmp_path)
    original, calls = stored_index.files.existing, []

    def existing(folder, entry, kind):
        if not calls:
            calls.append(1)
            filled(30).save(tmp_path)  # the files of the first index are gone now
        return original(folder, entry, kind)

    monkeypatch.setattr(stored_index.files, "existing", existing)
    assert len(ExactIndex.load(tmp_path)) == 30


def test_an_index_of_another_kind_is_refused(tmp_path):
    filled().save(tmp_path)
    with pytest.raises(IndexFolderError, match="holds an index of kind 'exact', expected 'faiss'. open_index opens"):
        FaissIndex.load(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(IndexFolderError, match="holds no index: there is no index.json"):
            ExactIndex.load(folder)


@pytest.mark.parametrize("kind", ["vectors", "objects", "deleted"])
@pytest.mark.parametrize("damage", ["truncated", "longer", "flipped", "missing", "link", "pipe"])
def test_damaged_files_are_found_out(tmp_path, kind, damage):
    index = filled()
    index.delete(["id 4"])
    index.save(tmp_path / "index")
    path = next((tmp_path / "index").glob(f"{kind}-*"))
    whole = path.read_bytes()
    path.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(whole)
        path.symlink_to(tmp_path / "elsewhere")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage != "missing":
        flipped = whole[:-1] + bytes([whole[-1] ^ 1])
        path.write_bytes({"truncated": whole[:-1], "longer": whole + b"\n", "flipped": flipped}[damage])
    expected = {"missing": "is missing. Make the index again", "link": "is a link", "pipe": "no file: not read"}
    with pytest.raises(IndexFolderError, match=expected.get(damage, "is damaged: it is not what was saved")):
        ExactIndex.load(tmp_path / "index")


def test_index_json_cut_anywhere_is_refused(tmp_path):
    filled().save(tmp_path)
    whole = (tmp_path / INDEX).read_bytes()
    for length in range(len(whole.rstrip())):
        (tmp_path / INDEX).write_bytes(whole[:length])
        with pytest.raises(IndexFolderError, match=r"index\.json"):
            ExactIndex.load(tmp_path)


HOSTILE = [
    ({"format_version": 2}, "has format_version 2, this library reads up to 1. Install a newer one"),
    ({"format_version": True}, 'must be a JSON object with a "format_version" of 1'),
    ({"dimension": 0}, "the dimension must be an integer of 1 or more, got 0"),
    ({"dimension": 5}, r"holds float32 \[10, 4\], the index float32 \[10, 5\]"),
    ({"dimension": 2**62}, r"the index float32 \[10, 4611686018427387904\]"),
    ({"dimension": "4"}, "'dimension' must be int, it is '4'"),
    ({"about": []}, r"'about' must be dict, it is \[\]"),
    ({"segments": {}}, "'segments' must be list"),
    ({"segments": [7]}, "a segment must be an object, it is 7"),
    ({"segments": [{"rows": -1}]}, "'rows' must not be negative"),
    ({"segments": [{"rows": True}]}, "'rows' must be int, it is True"),
    ({"segments": [{"rows": 1}]}, "names None, expected a file of vectors"),
    ({"deleted": "all"}, "names None, expected a file of deleted"),
    ({"deleted": {"name": "../../etc/passwd", "digest": ""}}, "expected a file of deleted"),
    ({"deleted": {"name": "vectors-0123456789abcdef.npy"}}, "expected a file of deleted"),
]


@pytest.mark.parametrize(("values", "message"), HOSTILE)
def test_an_index_json_of_a_stranger_is_refused(tmp_path, values, message):
    filled().save(tmp_path)
    change(tmp_path, **values)
    with pytest.raises((IndexFolderError, ValueError), match=message):
        ExactIndex.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x/vectors-0123456789abcdef.npy", "vectors-0123456789abcdef.npy/..", "", 7]
)
def test_files_outside_the_folder_are_not_read(tmp_path, name):
    filled().save(tmp_path)
    segments = content(tmp_path)["segments"]
    segments[0]["vectors"]["name"] = name
    change(tmp_path, segments=segments)
    with pytest.raises(IndexFolderError, match="expected a file of vectors"):
        ExactIndex.load(tmp_path)


def test_a_pickle_in_the_place_of_vectors_is_not_loaded(tmp_path):
    from quaterion_models.file_digest import file_digest

    filled().save(tmp_path)
    segments = content(tmp_path)["segments"]
    path = tmp_path / segments[0]["vectors"]["name"]
    np.save(path, np.array([{"a": print}] * 10, dtype=object), allow_pickle=True)
    segments[0]["vectors"]["digest"] = file_digest(path)
    change(tmp_path, segments=segments)
    with pytest.raises(IndexFolderError, match="is no whole .npy file"):
        ExactIndex.load(tmp_path)


SAVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from quaterion_models.search import ExactIndex

folder, step = Path(sys.argv[1]), int(sys.argv[2])
index = ExactIndex.load(folder)
index.delete(["id 0"])
index.add(["new"], np.ones((1, 4)))
left = [step]

def dying(original):
    def call(*arguments, **options):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return original(*arguments, **options)
    return call

os.fsync, os.open = dying(os.fsync), dying(os.open)
Path.replace, Path.unlink = dying(Path.replace), dying(Path.unlink)
index.save(folder)
print("saved")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_step_of_a_save_the_last_saved_state_is_whole(tmp_path):
    old, before, after, done = filled(10), [], [], False
    expected_old = old.search(vectors(3), 20)
    new = filled(10)
    new.delete(["id 0"])
    new.add(["new"], np.ones((1, DIMENSION)))
    for step in range(100):
        folder = tmp_path / f"{step}"
        filled(10).save(folder)
        child = subprocess.run(
            [sys.executable, "-c", SAVE_AND_DIE, str(folder), str(step)], capture_output=True, text=True, check=False
        )
        found = ExactIndex.load(folder).search(vectors(3), 20)
        (before if found == expected_old else after).append(step)
        assert found in (expected_old, new.search(vectors(3), 20))
        new_again = ExactIndex.load(folder)
        new_again.add([f"after {step}"], vectors(1))
        new_again.save(folder)  # what the dead process left is no obstacle, and is removed
        entries = content(folder)
        named = {segment[part]["name"] for segment in entries["segments"] for part in ("vectors", "objects")}
        named |= {entries["deleted"]["name"]} if entries["deleted"] else set()
        assert names(folder) == named | {INDEX, "index.lock"}
        if done := child.stdout == "saved\n":
            break
        assert child.returncode == -9, child.stderr
    assert done
    assert before
    assert after
    assert max(before) < min(after)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [ExactIndex, FaissIndex])
def test_after_any_history_the_index_is_what_a_dictionary_would_be(kind, seed, tmp_path, monkeypatch):
    if kind is FaissIndex:
        pytest.importorskip("faiss")
    monkeypatch.setattr(stored_index, "_SMALL_SEGMENT", 16)
    monkeypatch.setattr(stored_vectors, "_SEGMENT_NUMBERS", DIMENSION * 5)
    random = np.random.default_rng(seed)
    index, held = kind(DIMENSION), {}
    for step in range(60):
        action = random.choice(["add", "add", "delete", "save", "load"])
        if action == "add":
            ids = [
                int(one) for one in random.choice(200, size=random.integers(1, 25), replace=False) if one not in held
            ]
            rows = vectors(len(ids), seed=1000 * seed + step)
            index.add(ids, rows, [{"even": one % 2 == 0} for one in ids])
            held |= dict(zip(ids, rows, strict=True))
        elif action == "delete":
            ids = [int(one) for one in random.choice(200, size=random.integers(1, 60), replace=False)]
            assert index.delete(ids) == len(held.keys() & set(ids))
            held = {one: row for one, row in held.items() if one not in ids}
        else:
            index.save(tmp_path)
            index = kind.load(tmp_path) if action == "load" else index
        assert len(index) == len(held)
        assert index.contains(range(200)) == [one in held for one in range(200)]
        query = vectors(1, seed=step)
        for wanted in (None, {"even": True}):
            left = {one: row for one, row in held.items() if wanted is None or one % 2 == 0}
            scores = {one: float(row @ query[0] / np.linalg.norm(row)) for one, row in left.items()}
            best = sorted(scores, key=lambda one: -scores[one])[:7]
            assert [hit.id for hit in index.search(query, 7, wanted)[0]] == best


def test_a_folder_that_is_saved_to_all_the_time_is_given_up(tmp_path, monkeypatch):
    filled().save(tmp_path)
    original = stored_index.files.existing

    def existing(folder, entry, kind):
        filled().save(tmp_path)
        return original(folder, entry, kind)

    monkeypatch.setattr(stored_index.files, "existing", existing)
    with pytest.raises(IndexFolderError, match="changes all the time: it cannot be read while others save so often"):
        ExactIndex.load(tmp_path)
