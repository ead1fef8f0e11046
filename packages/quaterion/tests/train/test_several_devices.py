"""A training by several processes is the training of one process with the joined batches."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("several_devices_program.py")
SECONDS = 240


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program in a session of its own, whose processes all end with it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        end(process.pid)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def end(session: int) -> None:
    """Ends what is left of a session that the test has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, 9)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What every process of a training by one, by two and by three gave, by the name of the training."""
    found = {}
    for world in (1, 2, 3):
        folder = tmp_path_factory.mktemp(f"world-{world}")
        done = run(PROGRAM, folder, world)
        assert done.returncode == 0, done.stderr
        assert "sync_dist" not in done.stderr
        found[world] = [torch.load(folder / f"{world}-{rank}.pt") for rank in range(world)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_losses_gradients_weights_and_metrics_are_those_of_one_process(runs, world):
    for name, alone in runs[1][0].items():
        assert any(gradient.abs().max() > 1e-3 for gradient in alone["gradients"][0]), name
        for rank, several in enumerate(runs[world]):
            one = several[name]
            where = f"{name}, process {rank} of {world}"
            assert one["losses"] == pytest.approx(alone["losses"], rel=1e-5, abs=1e-6), where
            assert one["logged"] == pytest.approx(alone["logged"], rel=1e-5, abs=1e-6), where
            # After many steps of AdamW rounding grows; the first ones are compared closely.
            for step in range(3):
                for got, expected in zip(one["gradients"][step], alone["gradients"][step], strict=True):
                    largest = float(expected.abs().max())
                    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * largest + 1e-9, msg=where)
            torch.testing.assert_close(one["weights"], alone["weights"], rtol=1e-4, atol=1e-5, msg=where)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_the_memory_is_that_of_one_process(runs, world):
    for name in ("XBM", "XBM, cached"):
        for several in runs[world]:
            torch.testing.assert_close(several[name]["memory"], runs[1][0][name]["memory"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_each_object_is_encoded_once_in_total(runs, world):
    for name, alone in runs[1][0].items():
        if "cached" in name or "on disk" in name or name in {"teachers", "several data sets"}:
            every = Counter(obj for several in runs[world] for obj in several[name]["encoded"])
            assert every == Counter(alone["encoded"]), name
            assert set(every.values()) == {1}, name


RESUMED = PROGRAM.with_name("several_devices_resume.py")


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_an_error_and_resuming_gives_the_weights_of_an_undisturbed_run(tmp_path):
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    died = run(RESUMED, killed, 3, "kill")
    assert died.returncode != 0
    assert (killed / "last.ckpt").exists()
    assert not list(killed.glob("weights-*.pt"))
    for folder in (killed, undisturbed):
        done = run(RESUMED, folder, 3, "nothing")
        assert done.returncode == 0, done.stderr
    expected = torch.load(undisturbed / "weights-0.pt")
    for rank in range(2):
        torch.testing.assert_close(torch.load(killed / f"weights-{rank}.pt"), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_process_that_fails_to_encode_ends_the_run_with_its_error(tmp_path):
    failed = run(RESUMED, tmp_path, 1, "fail")
    assert failed.returncode != 0
    assert "this device is broken" in failed.stderr
