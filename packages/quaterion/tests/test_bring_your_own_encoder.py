"""The example of the page about encoders of one's own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "bring_your_own_encoder.py"


@pytest.mark.slow
def test_the_example_runs_and_the_head_helps(tmp_path):
    pytest.importorskip("sklearn")
    run = subprocess.run([sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    before, after = map(float, re.search(r"held-out images: (\S+) before, (\S+) after", run.stdout).groups())
    assert before == pytest.approx(0.635, abs=0.01)
    assert after > 0.9
    same, other = map(float, re.findall(r"Similarity of a 7 and a [73]: (\S+)", run.stdout))
    assert same > other + 0.3
    assert list(tmp_path.iterdir()) == []
