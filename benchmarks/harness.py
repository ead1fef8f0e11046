"""Timing that can be compared: interleaved runs, medians, ratios, and the machine they were taken on."""

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

__all__ = ["RUNS", "interleaved", "machine", "main", "peak_memory", "ratio", "status"]

RUNS = 5


def interleaved(functions: Mapping[str, Callable[[], object]], *, runs: int = RUNS) -> dict[str, list[float]]:
    """Times functions in turns, so that whatever else the machine does meets all of them.

    Args:
        functions: What to time, by name; each is called once before.
        runs: How often each is timed.

    Returns:
        Seconds of every run, by name.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            gc.collect()
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], ours: str, reference: str) -> float:
    """Median of one over the median of another: below 1 is faster than the reference."""
    return statistics.median(seconds[ours]) / statistics.median(seconds[reference])


def peak_memory(function: Callable[[], object]) -> float:
    """The most memory that a call takes above what the process has before, in MiB."""
    # From here on the peak is that of the call, not of what came before.
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    function()
    return status("VmHWM") - before


def status(field: str) -> float:
    """A field of this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{field} is not known here; this benchmark needs Linux")


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def main(run: Callable[[], dict[str, object]], description: str | None) -> None:
    """The command line of a benchmark: runs it, prints its figures, and writes them to the file after `--json`.

    Args:
        run: Gives the figures, and whatever else is worth noting, ready for JSON.
        description: What the benchmark measures.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    figures = run()
    for figure, value in figures.items():
        if isinstance(value, int | float):
            print(f"{figure} = {value:.3g}")
    if arguments.json is not None:
        content = {"machine": machine(), **figures}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
