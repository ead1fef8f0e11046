import os
from hashlib import blake2b
from pathlib import Path

import pytest

from quaterion_models import file_digest as module
from quaterion_models.file_digest import cache_folder, file_digest


@pytest.fixture
def large(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 2**20)
    os.utime(path, ns=(10**18, 10**18))  # long ago, so that it counts as settled
    return path


def reads(monkeypatch):
    seen = []
    real = module._read
    monkeypatch.setattr(module, "_read", lambda path: (seen.append(path), real(path))[1])
    return seen


def test_is_the_digest_of_the_bytes(large):
    assert file_digest(large) == blake2b(b"x" * 2**20, digest_size=16).hexdigest()


def test_a_large_file_is_read_once(large, monkeypatch):
    seen = reads(monkeypatch)
    assert file_digest(large) == file_digest(large)
    assert len(seen) == 1
    assert (cache_folder() / "file-digests.json").exists()


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_again(large, change):
    before = file_digest(large)
    large.write_bytes(b"y" * (2**20 + (change == "size")))
    os.utime(large, ns=(10**18 + (change == "time"),) * 2)
    assert file_digest(large) != before


def test_a_file_changed_just_now_is_not_remembered(large, monkeypatch):
    seen = reads(monkeypatch)
    large.touch()
    file_digest(large)
    file_digest(large)
    assert len(seen) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 3}', b"\xff"])
def test_a_damaged_memory_is_replaced(large, content):
    cache_folder().mkdir(parents=True)
    memory = cache_folder() / "file-digests.json"
    memory.write_bytes(content)
    assert file_digest(large) == blake2b(b"x" * 2**20, digest_size=16).hexdigest()
    assert str(large).encode() in memory.read_bytes()


def test_an_unwritable_cache_folder_costs_only_time(large, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file: no folder can be made in it
    seen = reads(monkeypatch)
    file_digest(large)
    file_digest(large)
    assert len(seen) == 2


def test_without_the_variable_the_memory_is_in_the_home_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "quaterion"
