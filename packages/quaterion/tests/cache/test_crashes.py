"""A fill that is killed, or runs out of disk, loses no more than its open shard, and is finished by the next one."""

import os
import random
import signal
import time

import pytest

from quaterion.cache import EmbeddingStore

from .filling_process import BATCH, WHOLE_STORE, FillProcesses, by_key, encoded, is_torn, store_of, until

KILLS = 50


@pytest.fixture(scope="module")
def processes():
    with FillProcesses() as started:
        yield started


def is_tidy(store):
    """Whether a store has its own files only, and in them nothing but the rows that count."""
    opened = EmbeddingStore.open(store)
    sizes = [(store / f"part-0.{kind}").stat().st_size for kind in ("keys", "vectors")]
    names = {path.name for path in store.iterdir()}
    return names == WHOLE_STORE and sizes == [16 * len(opened), 4 * opened.dimension * len(opened)]


@pytest.mark.slow
def test_a_fill_killed_at_50_random_moments_ends_with_the_vectors_of_an_undisturbed_one(processes, tmp_path):
    # The pauses make the share of the time that goes into writing the same on every disk.
    job = {"stop": 12_000, "shard_rows": 256, "pause": 0.0005, "disk_pause": 0.002}
    whole = processes.start(**job, folder=tmp_path / "whole", log=tmp_path / "whole.log")
    until((tmp_path / "whole.log").exists)
    began = time.monotonic()
    assert processes.wait(whole) == 0
    seconds = time.monotonic() - began
    expected = by_key(store_of(tmp_path / "whole"))
    assert len(expected) == len(encoded(tmp_path / "whole.log")) == job["stop"]

    delays = random.Random(0)
    kills = torn = 0
    for turn in range(100):  # as many whole fills as it takes to be killed 50 times: three or so
        folder, logs, killed = tmp_path / f"store {turn}", [], 0
        done = False
        while not done:
            logs.append(tmp_path / f"{turn}-{len(logs)}.log")
            process = processes.start(**job, folder=folder, log=logs[-1])
            if kills < KILLS:
                until(logs[-1].exists)
                time.sleep(delays.uniform(0, seconds / 12))
                os.kill(process, signal.SIGKILL)
            status = processes.wait(process)
            assert status in {0, -signal.SIGKILL}
            done = status == 0
            kills += not done
            killed += not done
            torn += not done and is_torn(store_of(folder))
        assert by_key(store_of(folder)) == expected
        assert len(encoded(*logs)) <= job["stop"] + killed * (job["shard_rows"] + BATCH)
        assert is_tidy(store_of(folder))
        if kills == KILLS:
            break
    assert kills == KILLS
    assert torn > 0  # some were hit while they wrote


@pytest.mark.slow
def test_a_fill_killed_in_front_of_any_step_that_changes_the_disk_loses_no_more_than_its_open_shard(
    processes, tmp_path
):
    job = {"stop": 128, "shard_rows": 64}
    processes.run(**job, folder=tmp_path / "whole", log=tmp_path / "whole.log")
    expected = by_key(store_of(tmp_path / "whole"))
    torn = 0
    for step in range(1, 1000):
        folder, logs = tmp_path / f"store {step}", [tmp_path / f"{step}-{run}.log" for run in range(2)]
        status = processes.wait(processes.start(**job, folder=folder, log=logs[0], dies_at=step))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        torn += is_torn(store_of(folder))
        processes.run(**job, folder=folder, log=logs[1])
        assert by_key(store_of(folder)) == expected
        assert len(encoded(*logs)) <= job["stop"] + job["shard_rows"]
        assert is_tidy(store_of(folder))
    assert step > 2 * 4  # keys, vectors and manifest of both shards wait for the disk, then the manifest is swapped
    assert torn >= 2 * 2  # after the keys, and after the vectors


@pytest.mark.parametrize(
    ("file_limit", "kept"),
    [
        pytest.param(512 * 16 - 1, 0, id="at the first claim"),
        pytest.param(512 * 24 - 1, 0, id="in the first shard"),
        pytest.param(3 * 512 * 24 + 100, 3 * 512, id="in the fourth shard"),
    ],
)
def test_a_full_disk_ends_a_fill_in_one_clear_error_and_the_next_one_finishes_it(processes, tmp_path, file_limit, kept):
    """A limit to the size of files stands in for a full disk."""
    job = {"stop": 3000, "shard_rows": 512}
    processes.run(**job, folder=tmp_path / "whole", log=tmp_path / "whole.log")
    folder, logs = tmp_path / "stores", [tmp_path / "full.log", tmp_path / "rest.log"]
    assert processes.wait(processes.start(**job, folder=folder, log=logs[0], file_limit=file_limit)) == 1
    error = (tmp_path / "full.error").read_text()
    assert error.startswith("OSError: ") and "File too large" in error
    assert "Cannot write" in error and "save_dir" in error and str(store_of(folder)) in error
    store = EmbeddingStore.open(store_of(folder))
    assert len(store) == kept
    assert not [*store.folder.glob("*.tmp"), *store.folder.glob("*.claim")]

    processes.run(**job, folder=folder, log=logs[1])
    assert len(encoded(logs[1])) == job["stop"] - kept
    assert by_key(store_of(folder)) == by_key(store_of(tmp_path / "whole"))
    assert is_tidy(store_of(folder))
