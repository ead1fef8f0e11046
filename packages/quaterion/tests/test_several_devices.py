"""The example of the page about several devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quaterion_models import SimilarityModel
from quaterion_models.encoders import CallableEncoder

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "several_devices.py"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]])
def test_the_example_runs_and_warns_of_nothing(launcher, tmp_path):
    run = subprocess.run(
        [sys.executable, *launcher, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "MEMBER: 2/2" in run.stderr
    assert "Warning" not in run.stderr, run.stderr
    assert run.stderr.count("Encoding (default)") == 1  # one bar shows what all have done
    encoder = CallableEncoder(
        lambda texts: [[0.0] * 26 for _ in texts], 26, version="1", name="several_devices:letters"
    )
    assert SimilarityModel.load(tmp_path / "letters", encoders={"default": encoder}).head is not None
