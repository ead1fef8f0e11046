"""Encoding portions in processes of their own, one for each device."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import torch

from quaterion_models.encode.portion import EncodedPortion, EncodeOptions, Portion, PortionEncoder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel

Device: TypeAlias = str | torch.device

AHEAD = 2
"""Portions for each process that may be on their way: being encoded, or waiting for an earlier one."""

GRACE_SECONDS = 5
"""How long to wait for a process that was asked to end."""

_GUARD = (
    "A program that encodes in processes keeps what it does under `if __name__ == '__main__':`, because each process "
    "imports it, and defines the classes of its model in modules or at its top level"
)


def check_devices(devices: Sequence[Device] | None) -> list[torch.device] | None:
    """Checks that devices can be used.

    Args:
        devices: A process for each; None for none.

    Returns:
        The devices.

    Raises:
        TypeError: If it is no list of devices.
        ValueError: If it is empty, or names a device that does not exist here.
    """
    if devices is None:
        return None
    if isinstance(devices, (str, torch.device)) or not isinstance(devices, Sequence):
        raise TypeError(
            f'devices must be a list with a device for each process, such as ["cpu", "cpu"], got {devices!r}. To '
            "encode in this process on another device, move the model there with model.to(...)"
        )
    if not devices:
        raise ValueError("devices must hold at least one device, got an empty list. Pass None to start no processes")
    return [_existing(device) for device in devices]


def _existing(device: Device) -> torch.device:
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f'devices must hold names such as "cpu" and "cuda:0", got {device!r}') from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no {str(found)!r} here: torch sees {torch.cuda.device_count()} CUDA devices")
    return found


def encode_in_workers(
    model: SimilarityModel, portions: Iterable[Portion], options: EncodeOptions, devices: Sequence[torch.device]
) -> Iterator[EncodedPortion]:
    """Encodes portions in spawned processes.

    A process has one portion at a time, and at most `AHEAD` for each process are on their way: a slow one is waited
    for. The processes share this one's number of threads. They end when the iterator does, or is closed, or fails.

    Args:
        model: The model; it has to be picklable.
        portions: Read as processes become free.
        options: How to encode.
        devices: A process for each.

    Yields:
        The encoded portions, in order.

    Raises:
        TypeError: If the model or an object cannot be pickled.
        RuntimeError: If a process ended.
        Exception: What a process raised, with the traceback there as its cause.
    """
    with tempfile.TemporaryDirectory(prefix="quaterion-encode-") as folder:
        # A file, mapped into memory by all processes, rather than a copy of the weights through a pipe for each.
        file = Path(folder) / "model.pt"
        _write(model, file)
        with closing(_Pool(file, options, devices)) as pool:
            yield from pool.encoded(portions)


def _write(model: SimilarityModel, file: Path) -> None:
    try:
        torch.save(model, file)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise TypeError(
            f"the model cannot be sent to other processes: {error}. Its classes, and the collate functions of its "
            "encoders, have to be picklable: define them at the top level of a module"
        ) from error


class _Failure(NamedTuple):
    """What a process raised.

    Attributes:
        error: The error, which can be pickled.
        traceback: Where it came from.
    """

    error: Exception
    traceback: str


class _WorkerTraceback(Exception):  # noqa: N818 - it is shown as the cause of an error, as concurrent.futures does
    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Worker:
    """A process and the connection to it.

    Args:
        name: What to call it in a message.
        file: The model.
        options: How to encode.
        device: Where.
        threads: How many it may use.
    """

    def __init__(self, name: str, file: Path, options: EncodeOptions, device: torch.device, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, str(file), options, str(device), threads), name=name, daemon=True
        )
        self.process.start()
        theirs.close()  # so that its death is the end of the connection
        self.ready = False
        self.number: int | None = None
        """Of the portion that it encodes."""

    @property
    def owes_answer(self) -> bool:
        return not self.ready or self.number is not None

    def send(self, number: int, portion: Portion) -> None:
        try:
            message = pickle.dumps(portion, protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise TypeError(f"these objects cannot be sent to other processes: {error}") from error
        self.number = number
        try:
            self.connection.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> EncodedPortion | None:
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._death() from error
        answer: EncodedPortion | _Failure | None = pickle.loads(message)  # noqa: S301 - from a process of ours
        if isinstance(answer, _Failure):
            answer.error.add_note(f"In {self.name}" if self.ready else f"In {self.name}, loading the model. {_GUARD}")
            raise answer.error from _WorkerTraceback(answer.traceback)
        self.ready, self.number = True, None
        return answer

    def _death(self) -> RuntimeError:
        self.process.join(GRACE_SECONDS)
        code = self.process.exitcode
        if not self.ready:
            return RuntimeError(f"{self.name} ended with exit code {code} before it had the model. {_GUARD}")
        return RuntimeError(
            f"{self.name} ended with exit code {code} while it was encoding. A negative code is the signal that ended "
            "it: -9 where the machine ran out of memory, as a rule; fewer devices or smaller batches need less"
        )

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(GRACE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class _Pool:
    """Processes that encode portions.

    Args:
        file: The model.
        options: How to encode.
        devices: A process for each.
    """

    def __init__(self, file: Path, options: EncodeOptions, devices: Sequence[torch.device]) -> None:
        threads = max(1, torch.get_num_threads() // len(devices))
        self._workers: list[_Worker] = []
        try:
            for number, device in enumerate(devices, start=1):
                name = f"encoding process {number} of {len(devices)} ({device})"
                self._workers.append(_Worker(name, file, options, device, threads))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def encoded(self, portions: Iterable[Portion]) -> Iterator[EncodedPortion]:
        source = iter(portions)
        finished: dict[int, EncodedPortion] = {}
        given = due = 0
        exhausted = False
        while True:
            for worker in self._workers:
                if exhausted or worker.owes_answer or given >= due + AHEAD * len(self._workers):
                    continue
                portion = next(source, None)
                if portion is None:
                    exhausted = True
                else:
                    worker.send(given, portion)
                    given += 1
            if due in finished:
                yield finished.pop(due)
                due += 1
            elif exhausted and due == given:
                return
            else:
                self._receive(finished)

    def _receive(self, finished: dict[int, EncodedPortion]) -> None:
        """Waits until at least one process answers."""
        owing = {worker.connection: worker for worker in self._workers if worker.owes_answer}
        for connection in wait(list(owing)):
            worker = owing[cast(Connection, connection)]
            number = worker.number
            answer = worker.receive()
            if answer is not None and number is not None:
                finished[number] = answer


def _work(connection: Connection, file: str, options: EncodeOptions, device: str, threads: int) -> None:
    """What a process does: loads the model, says that it did (None), and encodes one portion after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    torch.set_num_threads(threads)
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))  # those of tokenizers
    try:
        model = torch.load(file, map_location=device, mmap=device == "cpu", weights_only=False)
        encoder = PortionEncoder(model, options)
        answer: EncodedPortion | None = None
        while True:
            connection.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
            answer = encoder.encode(pickle.loads(connection.recv_bytes()))  # noqa: S301 - from the first process
    except Exception as error:  # noqa: BLE001 - the first process raises it
        with suppress(OSError):  # the first process is gone, or has enough
            connection.send_bytes(pickle.dumps(_failure(error), protocol=pickle.HIGHEST_PROTOCOL))


def _failure(error: Exception) -> _Failure:
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled just now
    except Exception:  # noqa: BLE001 - whatever an error's own constructor raises
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return _Failure(error, text)
