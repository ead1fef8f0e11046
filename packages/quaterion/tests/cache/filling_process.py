"""Fills a store in processes of their own, which tests kill: a helper of the tests, and the script that it starts.

The script imports everything once and forks a process for each fill, so that many fills cost little more than one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from quaterion.cache import CacheConfig, embedding_store, fill_plan
from quaterion.cache.manifest import read_manifest
from quaterion.cache.prepare import BatchSource
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion_models import SimilarityModel
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.token_states import RaggedStates
from quaterion_models.heads import EmptyHead

BATCH = 32
WHOLE_STORE = {"manifest.json", ".lock", "last-use", "part-0.lock", "part-0.keys", "part-0.vectors"}
"""Files of a store that one writer at a time has filled, and nothing else."""


def text_of(number: int) -> str:
    return f"{number} {'x' * (number * 7919 % 40)}"


class PaddedNumbers(Encoder):
    """The number in front of each text, its length, and four numbers that depend on everything in its batch."""

    trainable, embedding_size = False, 6

    def __init__(self, log: Path, pause: float) -> None:
        super().__init__()
        self.log, self.pause = log, pause

    def fingerprint(self) -> str:
        return "padded-numbers".ljust(32, "-")

    def get_collate_fn(self) -> Any:
        return list

    def forward(self, batch: list[str]) -> torch.Tensor:
        numbers = np.array([int(text.split()[0]) for text in batch], dtype=np.int32)
        with self.log.open("ab", buffering=0) as log:  # what is written stays, whatever becomes of the process
            log.write(numbers.tobytes())
        time.sleep(self.pause)
        lengths = [len(text) for text in batch]
        shared = [max(lengths), sum(lengths), len(batch), int(numbers.sum()) % 2**20]
        return torch.tensor(
            [[number, length, *shared] for number, length in zip(numbers, lengths, strict=True)]
        ).float()


class PaddedTokens(PaddedNumbers):
    """The same numbers as states of one to three tokens an object, the last of them the token's place."""

    def get_trunk(self) -> Any:
        return self

    @property
    def width(self) -> int:
        return self.embedding_size

    def forward(self, batch: list[str]) -> Any:
        counts = torch.tensor([tokens_of(int(text.split()[0])) for text in batch])
        values = super().forward(batch).repeat_interleave(counts, dim=0)
        values[:, -1] = torch.cat([torch.arange(count) for count in counts.tolist()])
        return RaggedStates(values, counts)


def tokens_of(number: int) -> int:
    return 1 + number % 3


def right(vectors: np.ndarray, numbers: range) -> bool:
    """Whether each object has a vector of its own, in whatever batch it was encoded."""
    expected = [[number, len(text_of(number))] for number in numbers]
    return np.array_equal(vectors[:, :2], np.array(expected, dtype=np.float32))


class FillProcesses:
    """Starts fills in processes of their own, and waits for them."""

    def __enter__(self) -> Self:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def _ask(self, **question: Any) -> int:
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, **job: Any) -> int:
        """Starts a fill.

        Args:
            **job: Arguments of `fill`.

        Returns:
            Id of its process.
        """
        return self._ask(start={key: str(value) if isinstance(value, Path) else value for key, value in job.items()})

    def wait(self, process: int) -> int:
        """Waits for a process to end.

        Returns:
            Its exit status; minus the signal that killed it.
        """
        return self._ask(wait=process)

    def run(self, **job: Any) -> None:
        """Fills, and expects that to work."""
        assert self.wait(self.start(**job)) == 0


def encoded(*logs: Path) -> list[int]:
    """Numbers of the objects that were encoded, in order."""
    return [number for log in logs if log.exists() for number in np.fromfile(log, dtype=np.int32).tolist()]


def until(happened: Any, *, seconds: float = 60) -> None:
    """Waits for something that is bound to happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def store_of(folder: Path) -> Path:
    """The folder of the one store in a folder of stores."""
    (store,) = folder.iterdir()
    return store


def by_key(store: Path) -> dict[bytes, bytes]:
    """Vector of each key, in bytes; each key once."""
    opened = embedding_store.EmbeddingStore.open(store)
    found = {key.tobytes(): vector.tobytes() for key, vector in zip(opened.keys, opened.vectors, strict=True)}
    assert len(found) == len(opened)
    return found


def is_torn(store: Path) -> bool:
    """Whether a writer died in the middle of writing: there is more than the manifest names."""
    manifest = read_manifest(store) if store.exists() else None
    if manifest is None:
        return False
    named = sum(shard.rows for shard in manifest.shards)
    sizes = [(store / "part-0.keys", 16), (store / "part-0.vectors", 4 * manifest.dimension)]
    return any(store.glob("*.tmp")) or any(f.exists() and f.stat().st_size > named * width for f, width in sizes)


def fill(
    *,
    folder: str,
    log: str,
    first: int = 0,
    stop: int,
    shard_rows: int,
    workers: int = 0,
    pause: float = 0.0,
    disk_pause: float = 0.0,
    go: str | None = None,
    result: str | None = None,
    file_limit: int | None = None,
    dies_at: int | None = None,
    tokens: bool = False,
) -> None:
    """Fills a store with the texts of some numbers.

    Args:
        folder: Where the store lies.
        log: A file that gets the number of each object that is encoded; it is made when the fill begins, or when there
            is nothing to fill.
        first: First number.
        stop: Number behind the last one.
        shard_rows: Rows of a shard.
        workers: Processes that read and collate.
        pause: Seconds that encoding a batch takes.
        disk_pause: Seconds that waiting for the disk takes, at the least.
        go: The fill waits for this file.
        result: Where to write the vectors.
        file_limit: Bytes that a file may have.
        dies_at: Kill the process in place of the n-th step that changes the disk.
        tokens: Fill with states of tokens in place of vectors.
    """
    embedding_store.TOKENS_PER_ROW = 2
    for module in (embedding_store, fill_plan):
        module.SHARD_ROWS = shard_rows
    steps = 0

    def step(real: Any, pause: float = 0.0) -> Any:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(pause)
            return real(*arguments, **options)

        return changed

    os.fsync, os.replace, os.unlink = step(os.fsync, disk_pause), step(os.replace), step(os.unlink)

    def begin(description: str, total: int) -> Any:
        Path(log).touch()
        if go is not None:
            until(Path(go).exists)
        return silent(description, total)

    if file_limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    model = SimilarityModel((PaddedTokens if tokens else PaddedNumbers)(Path(log), pause), EmptyHead(6))
    config = CacheConfig(save_dir=folder, batch_size=BATCH, states_dtype="float32")
    source = BatchSource(model, config, torch.device("cpu"))
    silent, source.progress = source.progress, begin
    data = [SimilarityGroupSample(text_of(number), 0) for number in range(first, stop)]
    loader = GroupSimilarityDataLoader(data, batch_size=len(data), num_workers=workers)
    (batch,) = source.batches(loader, source.read(loader))
    Path(log).touch()  # where there was nothing left to encode, no fill began
    if result is not None:
        np.save(result, batch.features.cached["default"].numpy())


def exit_code(process: int, *, seconds: float = 120) -> int:
    """Waits for a process of one's own, and kills it in the end: a fill that hangs fails its test, and no more."""
    deadline = time.monotonic() + seconds
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        time.sleep(0.001)
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            deadline += seconds
    return os.waitstatus_to_exitcode(ended[1])


def serve() -> None:
    """Starts and awaits processes as lines of JSON ask for."""
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = exit_code(question["wait"])
        elif (answer := os.fork()) == 0:
            status = 1
            try:
                fill(**question["start"])
                status = 0
            except OSError as error:
                Path(question["start"]["log"]).with_suffix(".error").write_text(f"{type(error).__name__}: {error}")
            finally:
                os._exit(status)
        print(answer, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve()
