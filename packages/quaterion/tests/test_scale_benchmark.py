"""The arithmetic of the script about scale is right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "benchmarks" / "scale.py"


def run(*arguments, check=True):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, encoding="utf-8", check=check, timeout=60
    )


def test_the_figures_follow_from_the_rates(tmp_path):
    rates = ["--fill-rate", "100", "--train-rate", "1000", "--index-seconds", "36", "--index-gib", "2", "--price", "3"]
    rates += ["--dimension", "10", "--beside", "5", "--epochs", "2", "--trained-on", "1800000", "--held", "7"]
    run(*rates, "--json", str(tmp_path / "scale.json"))
    million, more, _ = json.loads((tmp_path / "scale.json").read_text())["sizes"]
    assert (million["cache_float16"], million["cache_float32"]) == (25 * 10**6, 45 * 10**6)
    assert million["fill"] == pytest.approx(10_000 / 3600)
    assert more["fill_with_machines"] == pytest.approx(1_000_000 / 3600 / more["machines"])
    assert million["train"] == pytest.approx(2 * 1000 / 3600)
    assert more["train"] == pytest.approx(2 * 1800 / 3600)  # of at most 1.8 million
    assert (million["train_bytes"], more["train_bytes"]) == (7 * 10**6, 7 * 1_800_000)
    assert more["index"] == pytest.approx(1) and more["index_bytes"] == 100 * 2 * 2**30
    assert million["cost"] == pytest.approx(3 * (million["fill"] + million["train"] + 0.01))


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf"])
def test_rates_are_above_0(wrong):
    done = run("--price", wrong, check=False)
    assert done.returncode == 2 and f"{wrong} is not above 0" in done.stderr
