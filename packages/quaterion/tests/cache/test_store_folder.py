"""What happens to a store's folder: damage, other writers, full disks."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore, manifest

from .stores import damaged, filled, keys_of, new_store, vectors_of


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
    file = folder / f"part-0.{ending}"
    damaged(file, damage)
    store = new_store(folder)
    lost = [1, 2, 3, 4] if damage in {"delete", "zero"} else [3, 4]  # the end of the file belongs to the last shard
    kept = [n for n in [1, 2, 3, 4] if n not in lost]
    assert str(file) in caplog.text and "These 2 vectors are set aside" in caplog.text
    assert (store.rows(keys_of(lost)) < 0).all()
    assert torch.equal(store.take(store.rows(keys_of(kept))), torch.from_numpy(vectors_of(kept).reshape(-1, 3)))
    store.add(keys_of(lost), vectors_of(lost))
    store.flush()
    caplog.clear()
    again = new_store(folder)
    assert not caplog.text
    assert torch.equal(again.take(again.rows(keys_of([1, 2, 3, 4]))), torch.from_numpy(vectors_of([1, 2, 3, 4])))


def test_a_shard_in_the_middle_is_mended_without_the_others(tmp_path):
    folder = tmp_path / "s"
    filled(folder, [1], [2], [3])
    file = folder / "part-0.vectors"
    content = bytearray(file.read_bytes())
    content[12 + 3] ^= 64  # in the second of three rows of 12 bytes
    file.write_bytes(content)
    store = new_store(folder)
    assert store.rows(keys_of([1, 2, 3])).tolist() == [0, -1, 1]
    store.add(keys_of([2]), vectors_of([2]))
    store.flush()
    for one in (store, new_store(folder)):
        assert torch.equal(one.take(one.rows(keys_of([1, 2, 3]))), torch.from_numpy(vectors_of([1, 2, 3])))
        assert len(one) == 3


def test_rows_of_a_damaged_shard_are_not_used_again_while_somebody_may_read_them(tmp_path):
    folder = tmp_path / "s"
    reader = filled(folder, [1], [2])
    content = bytearray((folder / "part-0.vectors").read_bytes())
    damaged(folder / "part-0.vectors", "flip")  # after the reader has checked it
    assert new_store(folder).rows(keys_of([2])).tolist() == [-1]
    filled(folder, [7])
    assert (folder / "part-0.vectors").read_bytes()[: len(content) - 4] == content[:-4]
    assert torch.equal(reader.take(np.array([0])), torch.from_numpy(vectors_of([1])))
    again = new_store(folder)
    assert torch.equal(again.take(again.rows(keys_of([1, 7]))), torch.from_numpy(vectors_of([1, 7])))


@pytest.mark.parametrize("damage", ["truncate", "flip", "zero"])
def test_a_damaged_manifest_is_named_set_aside_and_the_store_can_be_filled_anew(tmp_path, caplog, damage):
    folder = tmp_path / "s"
    filled(folder, [1, 2])
    damaged(folder / "manifest.json", damage)
    with pytest.raises(
        ValueError, match=r"manifest.json is damaged.*Train with this cache again.*or delete the folder"
    ):
        EmbeddingStore.open(folder)
    store = new_store(folder)
    assert "manifest.json is damaged" in caplog.text and "all vectors of this store are encoded again" in caplog.text
    assert len(store) == 0
    store.add(keys_of([2, 5]), vectors_of([2, 5]))
    store.flush()
    assert np.array_equal(EmbeddingStore.open(folder).vectors, vectors_of([2, 5]))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 1, "content": 3}', "\xff"]
)
def test_what_is_no_manifest_is_one_clear_error(tmp_path, text):
    filled(tmp_path / "s", [1])
    (tmp_path / "s" / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"manifest.json is damaged.*delete the folder"):
        EmbeddingStore.open(tmp_path / "s")


def rewritten(folder, change):
    """Changes a manifest as another version of the library could have written it, checksum and all."""
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    change(whole)
    whole["digest"] = manifest.manifest_digest(whole["format_version"], whole["content"])
    path.write_text(json.dumps(whole))


def test_a_newer_format_and_an_unknown_kind_of_row_say_so_and_stay_as_they_are(tmp_path):
    for number, (change, message) in enumerate(
        (
            (lambda whole: whole.update(format_version=2), "format_version 2; this version of quaterion reads up to 1"),
            (
                lambda whole: whole["content"].update(kind="ragged"),
                "rows of the kind 'ragged'; this version .*'vector'",
            ),
        )
    ):
        folder = tmp_path / str(number)
        filled(folder, [1])
        rewritten(folder, change)
        before = (folder / "manifest.json").read_bytes()
        with pytest.raises(ValueError, match=message):
            new_store(folder)
        assert (folder / "manifest.json").read_bytes() == before


def test_what_lies_behind_the_last_shard_does_not_count_and_is_cut_off(tmp_path):
    folder = tmp_path / "s"
    filled(folder, [1])
    for ending in ("keys", "vectors"):  # as a process that died before it named its shard would leave it
        with (folder / f"part-0.{ending}").open("ab") as stream:
            stream.write(b"half a shard")
    (folder / "manifest.json.tmp").write_text("half a manifest")
    (folder / "part-0.claim").write_bytes(bytes(16))
    store = new_store(folder)
    assert len(store) == 1
    assert not list(folder.glob("*.tmp")) and not list(folder.glob("*.claim"))
    store.add(keys_of([2]), vectors_of([2]))
    store.flush()
    assert np.array_equal(new_store(folder).vectors, vectors_of([1, 2]))
    assert (folder / "part-0.keys").stat().st_size == 32 and (folder / "part-0.vectors").stat().st_size == 24


def test_claims_keep_writers_out_of_each_others_way_until_they_are_given_up(tmp_path):
    first, second = new_store(tmp_path / "s"), new_store(tmp_path / "s")
    assert first.claim(keys_of([1, 2])).tolist() == [True, True]
    assert second.claim(keys_of([1, 2, 3])).tolist() == [False, False, True]
    first.add(keys_of([1]), vectors_of([1]))
    first.flush()  # gives up 2
    assert second.claim(keys_of([1, 2])).tolist() == [False, True]
    second.add(keys_of([2, 3]), vectors_of([2, 3]))
    second.flush()
    first.refresh()
    assert (first.rows(keys_of([1, 2, 3])) >= 0).all() and (second.rows(keys_of([1])) < 0).all()
    second.refresh()
    assert torch.equal(second.take(second.rows(keys_of([1, 2, 3]))), torch.from_numpy(vectors_of([1, 2, 3])))


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
    assert left == {"manifest.json", ".lock", "last-use", "part-0.lock", "part-0.keys", "part-0.vectors"}
    assert (tmp_path / "s" / "part-0.vectors").stat().st_size == 2 * 3 * 4
