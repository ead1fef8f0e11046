"""Fills with states of tokens that are killed or shared: each object's tokens are there once, together and in order."""

import os
import signal
from collections import Counter

import numpy as np
import pytest

from quaterion.cache import EmbeddingStore
from quaterion_models.content_key import content_key

from .filling_process import BATCH, FillProcesses, encoded, store_of, text_of, tokens_of, until


@pytest.fixture(scope="module")
def processes():
    with FillProcesses() as started:
        yield started


def check_runs(folder, count):
    """Compares the tokens of each object with those that it should have."""
    store = EmbeddingStore.open(store_of(folder))
    assert (store.kind, len(store)) == ("token", sum(map(tokens_of, range(count))))
    keys = np.frombuffer(b"".join(content_key(text_of(number)) for number in range(count)), np.uint8).reshape(-1, 16)
    starts = store.rows(keys)
    assert store.counts(starts).tolist() == [tokens_of(number) for number in range(count)]
    for number, start in enumerate(starts.tolist()):
        states = store.vectors[start : start + tokens_of(number)]
        assert states[:, 0].tolist() == [number] * len(states)
        assert states[:, -1].tolist() == list(range(len(states)))


@pytest.mark.slow
def test_a_fill_killed_in_front_of_any_step_that_changes_the_disk_is_finished_by_the_next_one(processes, tmp_path):
    job = {"stop": 128, "shard_rows": 64, "tokens": True}
    for step in range(1, 1000, 3):  # the fill of vectors is killed in front of every one
        folder, logs = tmp_path / f"store {step}", [tmp_path / f"{step}-{run}.log" for run in range(2)]
        status = processes.wait(processes.start(**job, folder=folder, log=logs[0], dies_at=step))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        processes.run(**job, folder=folder, log=logs[1])
        check_runs(folder, job["stop"])
        assert len(encoded(*logs)) <= 2 * job["stop"]
    assert step > 2 * 4  # keys, states and manifest of both shards wait for the disk, then the manifest is swapped
    check_runs(folder, job["stop"])


def test_when_one_of_two_fills_is_killed_the_other_has_the_tokens_of_all_objects_once(processes, tmp_path):
    job = {"stop": 2000, "shard_rows": 128, "tokens": True, "pause": 0.004}
    logs = [tmp_path / f"{number}.log" for number in range(2)]
    shared = job | {"folder": tmp_path / "stores", "go": tmp_path / "go"}
    ids = [processes.start(**shared, log=log) for log in logs]
    until(lambda: all(log.exists() for log in logs))
    (tmp_path / "go").touch()
    until(lambda: len(encoded(logs[0])) > 300)
    os.kill(ids[0], signal.SIGKILL)
    assert [processes.wait(process) for process in ids] == [-signal.SIGKILL, 0]
    check_runs(tmp_path / "stores", job["stop"])
    times = Counter(encoded(*logs))
    assert set(times) == set(range(job["stop"]))
    # An open shard has fewer rows than a full one and a batch more, and each object a row or more.
    assert sum(found > 1 for found in times.values()) <= 2 * job["shard_rows"] + BATCH


def test_a_truncated_file_costs_the_objects_of_its_last_shard_and_they_are_encoded_again(processes, tmp_path):
    job = {"stop": 512, "shard_rows": 64, "tokens": True, "folder": tmp_path / "stores"}
    processes.run(**job, log=tmp_path / "first.log")
    file = store_of(tmp_path / "stores") / "part-0.vectors"
    os.truncate(file, file.stat().st_size - 1)
    processes.run(**job, log=tmp_path / "again.log")
    assert 0 < len(encoded(tmp_path / "again.log")) < job["stop"]
    check_runs(tmp_path / "stores", job["stop"])
