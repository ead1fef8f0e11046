"""Processes that fill one store at once share the work, and take over what one of them does not live to finish."""

import os
import signal
from collections import Counter

import numpy as np
import psutil
import pytest

from .filling_process import BATCH, FillProcesses, by_key, encoded, right, store_of, until

SHARD = 256
SLOW = {"shard_rows": SHARD, "pause": 0.004}
"""A pause for each batch, so that none of the processes is done before the others have begun."""


@pytest.fixture(scope="module")
def processes():
    with FillProcesses() as started:
        yield started


@pytest.fixture
def start_two(processes, tmp_path):
    """Starts two fills of one store, which begin to encode at the same moment."""

    def start(*jobs):
        logs = [tmp_path / f"{number}.log" for number in range(2)]
        shared = SLOW | {"folder": tmp_path / "stores", "go": tmp_path / "go"}
        ids = [
            processes.start(**shared | job, log=logs[number], result=tmp_path / f"{number}.npy")
            for number, job in enumerate(jobs)
        ]
        until(lambda: all(log.exists() for log in logs))
        (tmp_path / "go").touch()
        return ids, logs

    return start


def left_behind(store):
    return [*store.glob("*.tmp"), *store.glob("*.claim")]


def test_two_fills_at_once_encode_each_object_once_in_total_and_both_see_all_vectors(processes, start_two, tmp_path):
    count = 4000
    ids, logs = start_two({"stop": count}, {"stop": count})
    assert [processes.wait(process) for process in ids] == [0, 0]
    assert sorted(encoded(*logs)) == list(range(count))
    assert encoded(logs[0]) and encoded(logs[1])
    results = [np.load(tmp_path / f"{number}.npy") for number in range(2)]
    assert right(results[0], range(count)) and np.array_equal(*results)
    assert not left_behind(store_of(tmp_path / "stores"))

    processes.run(stop=count, shard_rows=SHARD, folder=tmp_path / "alone", log=tmp_path / "alone.log")
    assert by_key(store_of(tmp_path / "stores")) == by_key(store_of(tmp_path / "alone"))


def test_two_fills_of_data_sets_that_overlap_encode_what_they_share_once(processes, start_two, tmp_path):
    ranges = range(2500), range(1500, 4000)
    ids, logs = start_two(*({"first": numbers.start, "stop": numbers.stop} for numbers in ranges))
    assert [processes.wait(process) for process in ids] == [0, 0]
    assert sorted(encoded(*logs)) == list(range(4000))
    for number, numbers in enumerate(ranges):
        assert right(np.load(tmp_path / f"{number}.npy"), numbers)


@pytest.mark.parametrize("shards", [0, 3], ids=["in its first shard", "after some shards"])
def test_when_one_of_two_is_killed_the_other_encodes_only_its_open_shard_again(processes, start_two, tmp_path, shards):
    count = 4000
    ids, logs = start_two({"stop": count}, {"stop": count})
    until(lambda: len(encoded(logs[0])) > shards * SHARD + SHARD // 2)
    os.kill(ids[0], signal.SIGKILL)
    assert [processes.wait(process) for process in ids] == [-signal.SIGKILL, 0]
    dead, alive = encoded(logs[0]), encoded(logs[1])
    times = Counter(dead + alive)
    twice = {number for number, found in times.items() if found > 1}
    assert set(times) == set(range(count)) and max(times.values()) <= 2
    assert twice <= set(dead[-SHARD - BATCH :])
    assert right(np.load(tmp_path / "1.npy"), range(count))
    assert not left_behind(store_of(tmp_path / "stores"))

    run = {"stop": count, "shard_rows": SHARD}
    processes.run(**run, folder=tmp_path / "stores", log=tmp_path / "again.log")
    assert not encoded(tmp_path / "again.log")
    processes.run(**run, folder=tmp_path / "alone", log=tmp_path / "alone.log")
    assert by_key(store_of(tmp_path / "stores")) == by_key(store_of(tmp_path / "alone"))


@pytest.mark.slow
def test_the_claim_of_a_killed_process_with_workers_lapses_and_its_work_is_taken_over(processes, tmp_path):
    count = 2000
    job = {"stop": count, "folder": tmp_path / "stores"}
    logs = [tmp_path / f"{number}.log" for number in range(2)]
    first = processes.start(**SLOW | job, workers=2, log=logs[0])
    until(lambda: len(encoded(logs[0])) > SHARD)
    workers = psutil.Process(first).children()
    assert len(workers) == 2
    os.kill(first, signal.SIGKILL)
    assert processes.wait(first) == -signal.SIGKILL
    processes.run(**SLOW | job, workers=2, log=logs[1], result=tmp_path / "1.npy")
    assert set(encoded(*logs)) == set(range(count))
    assert len(encoded(*logs)) <= count + SHARD + BATCH
    assert right(np.load(tmp_path / "1.npy"), range(count))
    _, alive = psutil.wait_procs(workers, timeout=60)  # they find out by themselves that nobody needs them
    assert not alive
    processes.run(**SLOW | job, log=tmp_path / "again.log")
    assert not encoded(tmp_path / "again.log") and not left_behind(store_of(tmp_path / "stores"))
