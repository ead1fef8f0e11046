import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encode.workers import AHEAD, check_devices
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead

# A module of its own, because the processes have to import it.
MODULE = """
import os, signal, time
import torch
from torch import nn
from quaterion_models.encoders import Encoder

class OwnError(Exception):
    def __init__(self, code, text):  # cannot be pickled: its arguments are not those of the constructor
        super().__init__(f"{code}: {text}")

def collate(objects):
    if "die" in objects:
        os.kill(os.getpid(), signal.SIGKILL)
    if "own" in objects:
        raise OwnError(7, "mine")
    if "slow" in objects:
        time.sleep(600)
    if isinstance(objects[0], tuple):  # waits until both processes are at work
        folder = objects[0][0]
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)
        objects = [number for _, number in objects]
    return torch.tensor([[float(obj), os.getpid(), torch.get_num_threads()] for obj in objects], dtype=torch.float64)

class Numbers(Encoder):
    trainable = False
    embedding_size = 3
    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))
    def get_collate_fn(self):
        return collate
    def forward(self, batch):
        return batch + self.offset

class Lambda(Numbers):
    def get_collate_fn(self):
        return lambda objects: collate(objects)
    def __init__(self):
        super().__init__()
        self.function = lambda: None
"""


@pytest.fixture
def model(make_module):
    module = make_module("numbers_for_workers", MODULE)
    return SimilarityModel(module.Numbers(), EmptyHead(3))


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_process_stays():
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.usefixtures("three_threads")
def test_processes_share_the_work_and_the_threads_and_give_the_same_in_order(model, tmp_path):
    (tmp_path / "pids").mkdir()
    objects = [(tmp_path / "pids", number) for number in range(100)]
    vectors = model.encode(objects, batch_size=3, devices=["cpu", torch.device("cpu")])
    assert np.array_equal(vectors[:, 0], np.arange(100) + 0.5)
    processes = set(vectors[:, 1])
    assert len(processes) == 2 and os.getpid() not in processes
    assert set(vectors[:, 2]) == {1}  # of 3 threads, for each of 2 processes


@pytest.mark.slow
def test_a_frozen_pretrained_encoder_reads_its_files_in_the_process(minilm_folder):
    pytest.importorskip("sentence_transformers")
    model = SimilarityModel(SentenceTransformerEncoder(minilm_folder), EmptyHead(384))
    texts = ["one", "two words", "three words here"]
    expected = model.encode(texts)
    for dtype, array in ((torch.float32, np.float32), (torch.float16, np.float16)):
        (chunk,) = model.to(dtype).encode_stream(iter(texts), devices=["cpu"])
        assert chunk.vectors.dtype == array
        np.testing.assert_allclose(chunk.vectors.astype(np.float32), expected, atol=1e-2)


@pytest.mark.slow
def test_a_stream_through_processes_is_in_order_read_lazily_and_can_be_left(model):
    read = []

    def objects():
        for number in range(1000):
            read.append(number)
            yield number if number != 4 else "unreadable"

    stream = model.encode_stream(objects(), chunk_size=10, devices=["cpu", "cpu"], on_error="skip")
    assert read == [] and multiprocessing.active_children() == []
    first, second, third = (next(stream) for _ in range(3))
    assert len(multiprocessing.active_children()) == 2
    assert first.positions.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert first.skipped == [(4, "ValueError: could not convert string to float: 'unreadable'")]
    assert np.array_equal(first.vectors[:, 0], first.positions + 0.5)
    assert second.positions.tolist() == list(range(10, 20))
    assert third.positions.tolist() == list(range(20, 30))
    assert len(read) <= (3 + 2 * AHEAD) * 10
    stream.close()


@pytest.mark.slow
def test_an_error_in_a_process_arrives_with_its_traceback(model):
    with pytest.raises(ValueError, match="could not convert string to float: 'x'") as caught:
        model.encode([*range(5), "x"], devices=["cpu"])
    assert caught.value.__notes__ == [
        "The object (str) is the one at position 5 of those to encode",
        "In encoding process 1 of 1 (cpu)",
    ]
    assert "numbers_for_workers.py" in str(caught.value.__cause__)


@pytest.mark.slow
def test_an_error_that_cannot_be_pickled_arrives_as_text(model):
    with pytest.raises(RuntimeError, match="OwnError: 7: mine") as caught:
        model.encode(["own"], devices=["cpu"])
    assert "OwnError" in str(caught.value.__cause__)


@pytest.mark.slow
def test_a_killed_process_ends_the_call(model):
    with pytest.raises(RuntimeError, match=r"process 1 of 1 \(cpu\) ended with exit code -9 while it was encoding"):
        model.encode([1, "die"], devices=["cpu"])


@pytest.mark.slow
def test_objects_that_cannot_be_sent_are_an_error(model):
    with pytest.raises(TypeError, match="these objects cannot be sent to other processes"):
        model.encode([lambda: None], devices=["cpu"])


@pytest.mark.slow
def test_a_class_that_processes_cannot_import_is_an_error(make_module):
    module = make_module("only_in_this_process", MODULE)
    Path(module.__file__).unlink()
    with pytest.raises(ModuleNotFoundError, match="only_in_this_process") as caught:
        SimilarityModel(module.Numbers(), EmptyHead(3)).encode([1], devices=["cpu"])
    assert caught.value.__notes__[0].startswith("In encoding process 1 of 1 (cpu), loading the model. A program that")


def test_a_model_that_cannot_be_sent_is_an_error_before_a_process_starts(make_module):
    module = make_module("numbers_for_workers", MODULE)
    model = SimilarityModel(module.Lambda(), EmptyHead(3))
    with pytest.raises(TypeError, match="the model cannot be sent to other processes.*top level of a module"):
        model.encode([1], devices=["cpu"])


def test_nothing_to_encode_starts_no_process(model):
    assert model.encode([], devices=["cpu", "cpu"]).shape == (0, 3)


@pytest.mark.parametrize(
    ("devices", "error", "message"),
    [
        ("cpu", TypeError, r"a device for each process, such as \[\"cpu\", \"cpu\"\], got 'cpu'"),
        (torch.device("cpu"), TypeError, "devices must be a list"),
        (2, TypeError, "devices must be a list"),
        ([], ValueError, "at least one device, got an empty list"),
        (["gpu"], ValueError, 'names such as "cpu" and "cuda:0", got \'gpu\''),
        ([None], ValueError, "got None"),
        (["cpu", "cuda:99"], ValueError, "there is no 'cuda:99' here: torch sees \\d+ CUDA devices"),
    ],
)
def test_wrong_devices_are_named(devices, error, message):
    with pytest.raises(error, match=message):
        check_devices(devices)


SCRIPT = """
import sys, threading
sys.path.insert(0, {folder!r})
from numbers_for_workers import Numbers
from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

def main():
    model = SimilarityModel(Numbers(), EmptyHead(3))
    for chunk in model.encode_stream([1, 2, "slow", "slow"], chunk_size=1, devices=["cpu", "cpu"]):
        print(int(chunk.vectors[0, 1]), flush=True)

{call}
"""


@contextmanager
def start(tmp_path, call):
    (tmp_path / "numbers_for_workers.py").write_text(MODULE)
    (tmp_path / "script.py").write_text(SCRIPT.format(folder=str(tmp_path), call=call))
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A job in the background of a shell ignores Ctrl-C, and its children with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as script:
        try:
            yield script
        finally:
            with suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)  # nothing goes on in the background, whatever happened


@pytest.mark.slow
def test_ctrl_c_ends_all_processes(tmp_path):
    with start(tmp_path, "if __name__ == '__main__':\n    main()") as script:
        workers = {int(script.stdout.readline()) for _ in range(2)}
        time.sleep(0.5)  # in the middle of a chunk
        os.killpg(script.pid, signal.SIGINT)
        _, errors = script.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and script.returncode != 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


@pytest.mark.slow
def test_a_program_without_a_guard_is_told_what_to_do(tmp_path):
    with start(tmp_path, "main()") as script:
        _, errors = script.communicate(timeout=60)
    assert "ended with exit code 1 before it had the model" in errors
    assert "under `if __name__ == '__main__':`" in errors


@pytest.mark.parametrize("count", [0, 1, 2])
def test_gpus_are_those_that_torch_sees(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    for number in range(3):
        if number < count:
            assert check_devices([f"cuda:{number}"]) == [torch.device("cuda", number)]
        else:
            with pytest.raises(ValueError, match=f"there is no 'cuda:{number}' here: torch sees {count} CUDA devices"):
                check_devices([f"cuda:{number}"])
    if count:
        assert check_devices(["cuda"]) == [torch.device("cuda")]
