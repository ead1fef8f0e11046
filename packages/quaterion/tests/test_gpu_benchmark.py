"""The benchmark that needs a GPU says so where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_without_a_gpu_it_says_one_sentence_and_measures_nothing(tmp_path):
    command = [sys.executable, SCRIPT, "--json", tmp_path / "gpu.json"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=120, check=True)
    assert done.stdout.splitlines() == [
        "Skipped: this benchmark needs a GPU that torch's CUDA build can use, and finds none on this machine."
    ]
    assert not (tmp_path / "gpu.json").exists()
