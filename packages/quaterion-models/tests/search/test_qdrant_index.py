import json
import pickle
import socket
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from quaterion_models.search import ExactIndex, IndexFolderError, QdrantIndex, open_index

qdrant_client = pytest.importorskip("qdrant_client")


def vectors(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, 4))


def filled(location, rows=20, **options):
    index = QdrantIndex(location, 4, **options)
    index.add([f"id {row}" for row in range(rows)], vectors(rows), [{"row": row} for row in range(rows)])
    return index


@pytest.fixture
def folder(tmp_path):
    filled(tmp_path / "index").close()
    return tmp_path / "index"


def test_a_folder_is_there_for_the_next_process_without_saving(folder):
    index = QdrantIndex.load(folder)
    assert len(index) == 20
    assert [hits[0].id for hits in index.search(vectors(20), 1)] == [f"id {row}" for row in range(20)]
    index.save(folder)
    index.close()


def test_a_collection_is_not_replaced_unless_asked_for(folder):
    with pytest.raises(ValueError, match="has a collection 'quaterion' already. Open it with QdrantIndex.load"):
        QdrantIndex(folder, 4)
    with pytest.raises(ValueError, match="already there|has a collection"):
        QdrantIndex(folder, 7)
    index = QdrantIndex(folder, 4, collection="other")
    assert len(index) == 0
    index.close()
    index = QdrantIndex(folder, 3, replace=True)
    assert (len(index), index.dimension) == (0, 3)
    index.close()


def test_a_collection_that_moves_takes_the_place_of_another(folder):
    index = filled(folder, rows=3, collection="new", about={"model": "new"})
    index.move("quaterion")
    assert len(index) == 3
    with pytest.raises(ValueError, match="is called 'quaterion' already. Choose another name"):
        index.move("quaterion")
    index.close()
    moved = QdrantIndex.load(folder)
    assert (len(moved), moved.about) == (3, {"model": "new"})
    assert [hit.id for hit in moved.search(vectors(3)[1:2], 5, filter={"row": 1})[0]] == ["id 1"]
    moved.close()


def aliases_of(folder):
    meta = json.loads((folder / "meta.json").read_text())
    return sorted(meta["collections"]), meta["aliases"]


def test_from_the_second_move_on_it_is_one_step(folder, monkeypatch):
    """Killed right before it, everything is as it was; right after it, only the old collection is left over."""
    first = filled(folder, rows=3, collection="first")
    first.move("quaterion")
    first.close()
    assert aliases_of(folder) == (["first"], {"quaterion": "first"})
    second = filled(folder, rows=5, collection="second")

    def power_cut(client, **arguments):
        raise OSError("power cut")

    for method, kept in (("update_collection_aliases", 3), ("delete_collection", 5)):
        monkeypatch.setattr(qdrant_client.QdrantClient, method, power_cut)
        with pytest.raises(OSError, match="power cut"):
            second.move("quaterion")
        second.close()
        monkeypatch.undo()
        index = open_index(folder)
        assert len(index) == kept
        index.close()
        second = QdrantIndex.load(folder, collection="second")
    second.close()
    assert aliases_of(folder) == (["first", "second"], {"quaterion": "second"})


def test_an_index_is_added_to_and_replaced_under_its_alias(folder):
    index = filled(folder, rows=3, collection="new")
    index.move("quaterion")
    index.add(["more"], [[1.0, 2.0, 3.0, 4.0]], [{"kind": "late"}])
    assert [hit.id for hit in index.search([[1.0, 2.0, 3.0, 4.0]], 5, filter={"kind": "late"})[0]] == ["more"]
    index.close()
    with pytest.raises(ValueError, match="has a collection 'quaterion' already"):
        QdrantIndex(folder, 4)
    index = QdrantIndex(folder, 4, replace=True)
    assert len(index) == 0
    index.close()
    assert aliases_of(folder) == (["quaterion"], {})


def test_many_objects_and_queries_go_in_parts():
    index, exact = QdrantIndex(":memory:", 4), ExactIndex(4)
    for one in (index, exact):
        one.add(list(range(1500)), vectors(1500))
    assert index.contains(range(-1, 1501)) == [False, *[True] * 1500, False]
    for found, expected in zip(index.search(vectors(150, 1), 3), exact.search(vectors(150, 1), 3), strict=True):
        assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert index.delete(range(1400)) == 1400
    assert len(index) == 100


def test_a_field_of_another_process_is_known():
    index = filled(":memory:")
    other = QdrantIndex.__new__(QdrantIndex)
    other._collection, other._description = index._collection, index._collection.describe()
    other.add(["x"], vectors(1), [{"new": 1}])
    assert [hit.id for hit in index.search(vectors(1), filter={"new": 1})[0]] == ["x"]


def test_a_field_that_qdrant_cannot_name_is_refused_in_a_filter():
    index = QdrantIndex(":memory:", 4)
    index.add(["a"], vectors(1), [{'say "hi"': 1}])
    with pytest.raises(ValueError, match="Qdrant cannot filter by a field of the name"):
        index.search(vectors(1), filter={'say "hi"': 1})


def test_a_copy_that_did_not_come_to_its_end_is_not_loaded_and_is_replaced(tmp_path, monkeypatch):
    index = filled(":memory:", rows=300)
    collection = type(index._collection)
    original = collection.upsert
    calls = []

    def upsert(self, *arguments):
        if calls:
            raise OSError("power cut")
        calls.append(1)
        original(self, *arguments)

    monkeypatch.setattr(collection, "upsert", upsert)
    with pytest.raises(OSError, match="power cut"):
        index.save(tmp_path / "copy")
    monkeypatch.undo()
    with pytest.raises(IndexFolderError, match="is an unfinished copy. Save the index again"):
        open_index(tmp_path / "copy")
    index.save(tmp_path / "copy")
    with pytest.raises(ValueError, match="has a collection 'quaterion' already. Choose another folder"):
        index.save(tmp_path / "copy")
    copy = open_index(tmp_path / "copy")
    assert len(copy) == 300
    assert len(copy.search(vectors(1), 300, {"row": {"lt": 10}})[0]) == 10
    copy.close()


def test_a_collection_of_something_else_is_refused(tmp_path):
    client = qdrant_client.QdrantClient(path=str(tmp_path))
    size = qdrant_client.models.VectorParams(size=4, distance=qdrant_client.models.Distance.DOT)
    client.create_collection("quaterion", vectors_config=size)
    client.create_collection("new", vectors_config=size, metadata={"quaterion": {"format_version": 2, "about": {}}})
    client.close()
    with pytest.raises(IndexFolderError, match="'quaterion' of .* was not made by a QdrantIndex"):
        QdrantIndex.load(tmp_path)
    with pytest.raises(IndexFolderError, match="has format_version 2, this library reads 1. Install a newer one"):
        QdrantIndex.load(tmp_path, collection="new")


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(IndexFolderError, match=r"holds no Qdrant collections: there is no meta\.json"):
        QdrantIndex(tmp_path, 4)
    with pytest.raises(IndexFolderError, match=r"holds no Qdrant collections: there is no meta\.json"):
        QdrantIndex.load(tmp_path / "nowhere")
    with pytest.raises(IndexFolderError, match="is a file, expected a folder or nothing"):
        QdrantIndex(tmp_path / "photo.jpg", 4)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


class Evil:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('run').touch()",)


def test_no_spelling_of_the_table_hides_what_would_run_code(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(folder / "collection" / "quaterion" / "storage.sqlite") as database:
        database.execute("DROP TABLE points")
        database.execute("CREATE TABLE POINTS (id TEXT PRIMARY KEY, point BLOB)")
        database.execute("INSERT INTO points VALUES ('x', ?)", (pickle.dumps(Evil()),))
    database.close()
    with pytest.raises(IndexFolderError, match="is not opened"):
        QdrantIndex.load(folder)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "record", [pickle.dumps(Evil()), b"junk", b"", b"0", b"\x80\x04\x8e" + b"\xff" * 8, "text", None]
)
def test_a_folder_that_would_run_code_is_not_opened(folder, tmp_path, monkeypatch, record):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(folder / "collection" / "quaterion" / "storage.sqlite") as database:
        database.execute("INSERT INTO points VALUES ('x', ?)", (record,))
    database.close()
    for opening in (QdrantIndex.load, open_index, lambda place: QdrantIndex(place, 4, collection="new")):
        with pytest.raises(IndexFolderError, match="is not opened"):
            opening(folder)
    assert not (tmp_path / "run").exists()


CUT_OFF = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # so that it writes before the transaction has ended
database.execute("BEGIN")
database.executemany("INSERT INTO points VALUES (?, ?)", [(str(row), b"x" * 5000) for row in range(100)])
os._exit(1)
"""


def test_what_a_killed_process_has_half_written_is_taken_back(folder):
    database = folder / "collection" / "quaterion" / "storage.sqlite"
    subprocess.run([sys.executable, "-c", CUT_OFF, database], check=False)
    assert database.with_name("storage.sqlite-journal").stat().st_size > 0
    index = QdrantIndex.load(folder)
    assert index.contains([f"id {row}" for row in range(21)]) == [True] * 20 + [False]
    index.close()


def test_a_collection_that_was_killed_before_it_had_a_table_is_made_again(folder):
    (folder / "collection" / "new").mkdir()
    (folder / "collection" / "new" / "storage.sqlite").touch()
    for opening in (QdrantIndex.load, lambda place: filled(place, collection="new")):
        index = opening(folder)
        assert len(index) == 20
        index.close()


@pytest.mark.parametrize("names", [[], [".lock"], ["meta.json"], ["meta.json", ".lock", "meta.json.tmp"]])
def test_a_folder_in_which_qdrant_was_killed_at_once_is_as_good_as_none(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(IndexFolderError, match=r"there is no meta\.json|meta\.json is damaged: Expecting value"):
        QdrantIndex.load(tmp_path)
    filled(tmp_path).close()
    index = QdrantIndex.load(tmp_path)
    assert len(index) == 20
    index.close()


@pytest.mark.parametrize(
    "meta",
    [
        b"[]",
        b"{}",
        b'{"collections": {"a": 3}}',
        b'{"collections": {}}',
        b'{"collections": {}, "aliases": {"a": "b"}}',
        b'{"collections": {}, "aliases": {"a": []}}',
        b'{"collections"',
        b"\xff",
        b"[" * 100000,
    ],
)
def test_a_damaged_list_of_collections_is_named(tmp_path, meta):
    (tmp_path / "meta.json").write_bytes(meta)
    for opening in (open_index, lambda place: QdrantIndex(place, 4)):
        with pytest.raises(IndexFolderError, match=r"meta\.json is damaged: .*Make the index again"):
            opening(tmp_path)
    assert (tmp_path / "meta.json").read_bytes() == meta


def test_a_collection_whose_removal_was_cut_off_is_not_taken_for_an_empty_index(folder, monkeypatch):
    new = filled(folder, rows=3, collection="new")

    def delete_half(client, collection_name):
        (folder / "collection" / collection_name / "storage.sqlite").unlink()
        raise OSError("power cut")

    monkeypatch.setattr(qdrant_client.QdrantClient, "delete_collection", delete_half)
    with pytest.raises(OSError, match="power cut"):
        new.move("quaterion")
    new.close()
    monkeypatch.undo()
    with pytest.raises(IndexFolderError, match="is an unfinished copy. Save the index again, or go on with"):
        open_index(folder)
    new = QdrantIndex.load(folder, collection="new")
    new.move("quaterion")
    new.close()
    index = open_index(folder)
    assert len(index) == 3
    index.close()


def test_links_in_a_folder_are_not_followed(folder, tmp_path):
    database = folder / "collection" / "quaterion" / "storage.sqlite"
    database.rename(tmp_path / "elsewhere.sqlite")
    database.symlink_to(tmp_path / "elsewhere.sqlite")
    with pytest.raises(IndexFolderError, match="is a link: not followed"):
        QdrantIndex.load(folder)


def test_a_file_that_is_no_database_is_not_opened(folder):
    (folder / "collection" / "quaterion" / "storage.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(IndexFolderError, match="is not opened: file is not a database"):
        QdrantIndex.load(folder)


def test_a_server_that_is_down_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for opening in (open_index, lambda place: QdrantIndex(place, 4)):
        with pytest.raises(ConnectionError, match=rf"no answer from Qdrant at {url}: .*Start the server, or check"):
            opening(url)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (403, PermissionError, "Qdrant at {url} refuses the API key. Pass api_key="),
        (404, ConnectionError, "the server at {url} answers 404 Not Found: '<p>hi</p>'. Check the address, or read"),
        (200, ConnectionError, "what answers at {url} is no Qdrant. Check the address"),
    ],
)
def test_a_server_that_wants_another_key_or_is_no_qdrant_is_named(status, error, message):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<p>hi</p>")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(error, match=message.format(url=url)):
            open_index(url)
        server.shutdown()


def test_an_address_that_is_none_is_named():
    with pytest.raises(
        ValueError, match=r"'http://\[' is no address of a server: .*Give one like http://localhost:6333"
    ):
        open_index("http://[")


def test_a_key_for_a_folder_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="an API key is for a server, and .* is none"):
        QdrantIndex(tmp_path / "index", 4, api_key="secret")


def test_a_copy_to_a_server_is_refused():
    with pytest.raises(ValueError, match="a copy on the server http://x is made there"):
        QdrantIndex(":memory:", 4).save("http://x")
