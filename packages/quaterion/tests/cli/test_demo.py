"""`quaterion demo` as a user types it, in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quaterion_models import SimilarityModel

COMMAND = [sys.executable, "-c", "from quaterion.cli import main; main()"]


def quaterion(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80", "NO_COLOR": "1"}


def test_the_demo_prints_a_table_and_answers_and_writes_its_json(tmp_path: Path) -> None:
    options = [
        "--limit",
        60,
        "--epochs",
        2,
        "--query",
        "sort a list",
        "--query",
        "open a file",
        "--json",
        "scores.json",
    ]
    done = quaterion("demo", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MRR" in done.stdout
    assert "» sort a list" in done.stdout
    assert "» open a file" in done.stdout
    assert "Warning" not in done.stderr
    assert "GPU" not in done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores["after"]["mrr"]) == {"value", "low", "high"}
    SimilarityModel.load(tmp_path / "quaterion-demo" / "model")


def test_a_result_that_cannot_be_written_is_told_before_the_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = quaterion("demo", "--out", "file/demo", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Not a directory: file")
    assert "Traceback (most" not in done.stderr
    assert "Reading" not in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = quaterion("--debug", "demo", "--out", "file/demo", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def test_a_wrong_option_is_wrong_usage(tmp_path: Path) -> None:
    done = quaterion("demo", "--epochs", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "--epochs" in done.stderr


def interrupt(arguments: list[object], started: Callable[[], bool], cwd: Path) -> subprocess.CompletedProcess[str]:
    with (cwd / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stderr=errors,
            # A job in the background of a shell ignores Ctrl-C, and its children with it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 300
        while not started() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        try:
            code = press_ctrl_c(process)
        finally:
            process.kill()  # nothing goes on in the background, whatever happened
    return subprocess.CompletedProcess(process.args, code, "", (cwd / "stderr").read_text())


def press_ctrl_c(process: subprocess.Popen[bytes]) -> int:
    """Presses Ctrl-C as a user does: again after a while, since Python drops an interrupt in a finalizer."""
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=20)
    raise AssertionError("Ctrl-C did not end it")


@pytest.mark.slow
def test_ctrl_c_while_encoding_keeps_the_vectors_and_the_next_run_works(tmp_path: Path) -> None:
    arguments: list[object] = ["demo", "--epochs", 1]
    cache = tmp_path / "quaterion-demo" / "cache"
    done = interrupt(arguments, lambda: any(cache.glob("*/manifest.json")), tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Interrupted. ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "quaterion-demo" / "model").exists()
    assert quaterion("demo", "--limit", 60, "--epochs", 1, cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_ctrl_c_while_training_is_one_line(tmp_path: Path) -> None:
    arguments: list[object] = ["demo", "--limit", 60, "--epochs", 1_000_000]
    done = interrupt(arguments, lambda: "Encoding" in (tmp_path / "stderr").read_text(), tmp_path)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("Interrupted. ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "quaterion-demo" / "model").exists()


@pytest.mark.slow
def test_the_whole_demo_gets_better_and_starts_from_the_cache_the_second_time(tmp_path: Path) -> None:
    first = quaterion("demo", "--json", "first.json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    scores = json.loads((tmp_path / "first.json").read_text())
    assert scores["after"]["mrr"]["value"] >= 0.57
    assert scores["after"]["mrr"]["value"] > scores["before"]["mrr"]["high"]
    assert scores["after"]["recall@10"]["value"] > scores["before"]["recall@10"]["value"] + 0.05
    # That a second training gives the same is shown on a slice of the library, in tests/demo/test_run.py.
    second = quaterion("demo", "--epochs", 1, "--json", "second.json", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "Encoding" in first.stderr
    assert "Encoding" not in second.stderr
    assert json.loads((tmp_path / "second.json").read_text())["before"] == scores["before"]
