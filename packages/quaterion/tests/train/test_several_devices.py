"""A training by several processes is the training of one process with the joined batches."""

import contextlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("several_devices_program.py")
WORLDS = (1, 2, 3)
SECONDS = 480


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
def folder(tmp_path_factory):
    """Where every process of a training by one, by two and by three wrote down what it gave."""
    folder = tmp_path_factory.mktemp("several-devices")
    done = run(PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """By the number of processes, and for each of them, results by the name of the training."""
    return {
        world: [torch.load(folder / str(world) / f"{world}-{rank}.pt") for rank in range(world)] for world in WORLDS
    }


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_losses_gradients_weights_and_metrics_are_those_of_one_process(runs, world):
    for name, alone in runs[1][0].items():
        assert any(gradient.abs().max() > 1e-3 for gradient in alone["gradients"][0]), name
        rounding = 1e3 if name.endswith("bfloat16") else 1
        for rank, several in enumerate(runs[world]):
            one = several[name]
            where = f"{name}, process {rank} of {world}"
            assert one["losses"] == pytest.approx(alone["losses"], rel=1e-5 * rounding, abs=1e-6), where
            assert one["logged"] == pytest.approx(alone["logged"], rel=1e-5 * rounding, abs=1e-6), where
            # After many steps of AdamW rounding grows; the first ones are compared closely.
            for got, expected in zip(one["gradients"][:3], alone["gradients"][:3], strict=True):
                for ours, theirs in zip(got, expected, strict=True):
                    tolerance = rounding * (1e-5 * float(theirs.abs().max()) + 1e-9)
                    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=tolerance, msg=where)
            torch.testing.assert_close(
                one["weights"], alone["weights"], rtol=1e-4 * rounding, atol=1e-5 * rounding, msg=where
            )


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


REFUSED = {
    "other targets": "differs from process 0 in the targets or objects of the training set",
    "other objects": "differs from process 0 in a sample of the training set",
    "more objects": r"differs from process 0 in the length of the training set \(27 and 26\)",
    "other batches": r"differs from process 0 in the batch size of the training set \(7 and 6\)",
    "other workers": r"differs from process 0 in the num_workers of the training set \(1 and 0\)",
    "a stream's share": "gave the processes different samples for batch 0. Expected the same",
    "a longer stream": r"different samples for batch 2, and the processes \[0\] none",
    "a stream of one": "The training set has 1 samples for 2 processes",
    "a plain loader": "trainer.test got a loader with 2 processes.*Expected.*Quaterion.evaluate",
}


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_differs_between_processes_is_refused_by_all_of_them(folder, rank):
    refused, _ = torch.load(folder / f"misused-{rank}.pt")
    assert refused.keys() == REFUSED.keys()
    for name, expected in REFUSED.items():
        assert re.search(expected, refused[name]), refused[name]


@pytest.mark.slow
def test_objects_that_are_others_in_each_read_are_trained_on(folder):
    (_, one), (_, other) = (torch.load(folder / f"misused-{rank}.pt") for rank in range(2))
    assert len(one) == 2 * 3 and one == other


@pytest.mark.slow
def test_two_machines_of_slurm_train_as_one_process(folder, runs):
    expected = runs[1][0]["MNRL, on disk"]
    several = [torch.load(folder / f"slurm-{rank}.pt") for rank in range(2)]
    for one in several:
        assert one["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert one["logged"] == pytest.approx(expected["logged"], rel=1e-5)
    assert Counter(obj for one in several for obj in one["encoded"]) == Counter(expected["encoded"])


RESUMED = PROGRAM.with_name("several_devices_resume.py")


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_an_error_and_others_resume_to_the_weights_of_an_undisturbed_run(tmp_path):
    died = run(RESUMED, tmp_path / "killed")
    assert died.returncode != 0
    assert (tmp_path / "killed" / "last.ckpt").exists()
    assert not list(tmp_path.glob("killed/trained-*.pt"))
    done = run(RESUMED, tmp_path, "resume")
    assert done.returncode == 0, done.stderr
    steps, expected = torch.load(tmp_path / "undisturbed" / "trained-0.pt")
    assert steps == 3 * 3
    for world in WORLDS:
        for rank in range(world):
            steps, got = torch.load(tmp_path / f"resumed by {world}" / f"trained-{rank}.pt")
            assert steps == 2 * 3
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    # The program has seen that these ended by themselves.
    assert not list(tmp_path.glob("failed/trained-*.pt")) and not list(tmp_path.glob("first lost/trained-*.pt"))
    assert "this device is broken" in done.stderr
