"""The store on disk: what is written is found again, and nothing else is."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore
from quaterion.cache import embedding_store as module


def keys_of(numbers):
    keys = np.zeros((len(numbers), 16), dtype=np.uint8)
    keys[:, 3] = numbers
    return keys


def vectors_of(numbers):
    return np.array([[n, -n, n / 3] for n in numbers], dtype=np.float32)


def new_store(folder=None, **arguments):
    return EmbeddingStore(**{"fingerprint": "f" * 64, "dimension": 3, "encoder": "E", "folder": folder} | arguments)


def filled(folder, *parts):
    store = new_store(folder)
    for part in parts:
        store.add(keys_of(part), vectors_of(part))
        store.flush()
    return store


@pytest.mark.parametrize("on_disk", [False, True])
def test_vectors_come_back_by_key_in_any_order_and_any_number(tmp_path, on_disk):
    store = filled(tmp_path / "s" if on_disk else None, [5, 1], [9], [2, 7, 3])
    assert len(store) == 6
    wanted = [3, 3, 9, 5, 2]
    rows = store.rows(keys_of(wanted))
    assert torch.equal(store.take(rows), torch.from_numpy(vectors_of(wanted)))
    assert store.rows(keys_of([4, 5])).tolist() == [-1, 0]
    assert np.array_equal(store.vectors, vectors_of([5, 1, 9, 2, 7, 3]))


def test_another_process_finds_what_was_written(tmp_path):
    filled(tmp_path / "s", [1, 2], [3])
    code = "import sys; from quaterion.cache import EmbeddingStore as E; print(E.open(sys.argv[1]).vectors.tolist())"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "s"], capture_output=True, check=True)
    assert json.loads(run.stdout) == vectors_of([1, 2, 3]).tolist()


def test_an_open_shard_is_not_found_until_it_is_closed_and_closes_by_itself_when_full(tmp_path, monkeypatch):
    store = new_store(tmp_path / "s")
    store.add(keys_of([1]), vectors_of([1]))
    assert store.rows(keys_of([1])).tolist() == [-1]
    monkeypatch.setattr(module, "SHARD_ROWS", 3)
    store.add(keys_of([2, 3]), vectors_of([2, 3]))
    assert store.rows(keys_of([1, 2, 3])).tolist() == [0, 1, 2]


def test_float16_halves_the_bytes_and_keeps_half_precision(tmp_path):
    store = new_store(tmp_path / "s", dtype="float16")
    store.add(keys_of([1, 2]), vectors_of([1, 2]))
    store.flush()
    again = EmbeddingStore.open(tmp_path / "s")
    assert again.dtype == torch.float16 and again.vectors.nbytes == 2 * 3 * 2
    assert np.array_equal(again.vectors, vectors_of([1, 2]).astype(np.float16))


@pytest.mark.parametrize("change", [{"fingerprint": "0" * 64}, {"dimension": 4}, {"dtype": "float16"}])
def test_a_folder_of_another_encoder_size_or_precision_is_refused(tmp_path, change):
    filled(tmp_path / "s", [1])
    with pytest.raises(ValueError, match="holds float32 vectors of size 3 from the encoder 'E'.*Use another folder"):
        new_store(tmp_path / "s", **change)


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "zero"])
@pytest.mark.parametrize("ending", ["keys", "vectors"])
def test_a_damaged_shard_is_named_set_aside_and_the_others_stay(tmp_path, caplog, damage, ending):
    folder = tmp_path / "s"
    filled(folder, [1, 2], [3, 4])
    name = json.loads((folder / "manifest.json").read_text())["shards"][0]["name"]
    file = folder / f"{name}.{ending}.npy"
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-5])
    elif damage == "flip":
        content[-2] ^= 1
        file.write_bytes(content)
    elif damage == "zero":
        file.write_bytes(bytes(len(content)))
    else:
        file.unlink()
    store = new_store(folder)
    assert file.name in caplog.text and "2 vectors are set aside" in caplog.text
    assert store.rows(keys_of([1, 2, 3, 4])).tolist() == [-1, -1, 0, 1]
    assert torch.equal(store.take(np.array([0, 1])), torch.from_numpy(vectors_of([3, 4])))
    store.add(keys_of([1, 2]), vectors_of([1, 2]))
    store.flush()
    assert (new_store(folder).rows(keys_of([1, 2, 3, 4])) >= 0).all()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 1, "shards": [3]}', "\xff"]
)
def test_a_damaged_manifest_is_one_clear_error(tmp_path, text):
    filled(tmp_path / "s", [1])
    (tmp_path / "s" / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"manifest.json is damaged.*Delete the folder"):
        new_store(tmp_path / "s")


def test_a_newer_format_says_so(tmp_path):
    filled(tmp_path / "s", [1])
    path = tmp_path / "s" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 2}))
    with pytest.raises(ValueError, match="format_version 2; this version of quaterion reads up to 1"):
        new_store(tmp_path / "s")


def test_a_shard_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    filled(tmp_path / "s", [1])
    path = tmp_path / "s" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["name"] = "../s/" + manifest["shards"][0]["name"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"manifest.json is damaged .*\.\./s/"):
        new_store(tmp_path / "s")


def test_two_writers_keep_each_others_shards(tmp_path):
    first, second = new_store(tmp_path / "s"), new_store(tmp_path / "s")
    for store, part in ((first, [1]), (second, [2]), (first, [3])):
        store.add(keys_of(part), vectors_of(part))
        store.flush()
    assert sorted(EmbeddingStore.open(tmp_path / "s").vectors[:, 0].tolist()) == [1, 2, 3]


def test_a_folder_that_is_a_file_or_not_there_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot use the folder as a cache.*another save_dir"):
        new_store(tmp_path / "file" / "s")
    with pytest.raises(FileNotFoundError, match="holds no embedding store"):
        EmbeddingStore.open(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="Cannot use the folder as a cache"):
        new_store(tmp_path / "s")


def test_a_full_disk_ends_in_one_error_and_keeps_what_was_written(tmp_path):
    """A file-size limit stands in for a full disk: the write of the second shard fails half-way."""
    code = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from quaterion.cache import EmbeddingStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = EmbeddingStore(fingerprint="f" * 64, dimension=3, encoder="E", folder=sys.argv[1])
        def add(n):
            keys = np.zeros((n, 16), dtype=np.uint8)
            keys[:, :8] = np.arange(n, dtype=">u8").view(np.uint8).reshape(-1, 8)
            keys[:, 8] = n % 251
            store.add(keys, np.ones((n, 3), dtype=np.float32))
            store.flush()
        add(2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            add(2000)
        except OSError as error:
            print(type(error).__name__, error)
            sys.exit(7)
    """)
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "s"], capture_output=True, text=True, check=False)
    assert run.returncode == 7, run.stderr
    assert "Cannot write 2,000 vectors" in run.stdout and "All 2 vectors written before are kept" in run.stdout
    assert len(EmbeddingStore.open(tmp_path / "s")) == 2
    left = {path.name for path in (tmp_path / "s").iterdir()}
    assert len(left) == 4, left  # manifest, lock, keys, vectors
