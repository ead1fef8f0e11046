"""What a training logged, as curves."""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from quaterion.eval.report.shown_object import clip

__all__ = ["TrainingCurves", "training_curves"]

TrainingCurves = dict[str, Any]
"""`{"axis": name of x, "curves": {logged name: {"x", "y", "count", "lowest", "highest"}}, "left_out": values that are
not finite, "thinned": whether curves hold fewer than `count` values}`."""

MAX_POINTS, LEAST_POINTS = 10_000, 20
"""Values of all curves together that the page holds, and of each one at least."""

_AXES = ("step", "epoch")
_STAGE = re.compile(r"^(train|validation|val|test)[_/]|[_/](train|validation|val|test)$")


def training_curves(log: str | Path | Iterable[Mapping[str, Any]]) -> TrainingCurves:
    """Reads what a training logged.

    Args:
        log: Dictionaries of logged values, one for each time something was logged, or the folder of Lightning's
            CSVLogger (or its `metrics.csv`); of a folder with several versions the latest is read. `"step"` or else
            `"epoch"` is the horizontal axis, or else the position.

    Returns:
        The curves, ready for JSON. Of long ones they hold values at equal distances, the first and the last included.

    Raises:
        FileNotFoundError: The folder has no `metrics.csv`.
        ValueError: Nothing was logged, or a cell of the file is no number; the message names file, line and field.
        TypeError: An entry is no dictionary.

    Example:
        >>> log = [{"step": 0, "train_loss": 0.9}, {"step": 1, "train_loss": 0.5, "validation_loss": 0.6}]
        >>> training_curves(log)["curves"]["train_loss"]
        {'x': [0, 1], 'y': [0.9, 0.5], 'count': 2, 'lowest': 0.5, 'highest': 0.9}
    """
    where = "The training log"
    if isinstance(log, str | Path):
        path = _metrics_file(Path(log))
        where, rows = str(path), _rows(path)
    else:
        rows = [_checked(row, place) for place, row in enumerate(log)]
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _AXES]
    if not names:
        raise ValueError(f"{where} holds no values. Expected at least one besides {' and '.join(_AXES)}.")
    axis = next((axis for axis in _AXES if any(axis in row for row in rows)), "entry")
    most = max(LEAST_POINTS, MAX_POINTS // len(names))
    curves: dict[str, Any] = {}
    left_out = 0
    for name in names:
        points = [(row.get(axis, place), row[name]) for place, row in enumerate(rows) if name in row]
        finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        left_out += len(points) - len(finite)
        curves[_shown_name(name, curves)] = _curve(finite, most)
    thinned = any(len(curve["x"]) < curve["count"] for curve in curves.values())
    return {"axis": axis, "curves": curves, "left_out": left_out, "thinned": thinned}


def _curve(points: list[tuple[float, float]], most: int) -> dict[str, Any]:
    values = [y for _, y in points]
    if len(points) > most:
        points = [points[place * (len(points) - 1) // (most - 1)] for place in range(most)]
    return {
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "count": len(values),
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
    }


def _shown_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name, clipped, and told apart from others that are clipped to the same."""
    shown = clipped = clip(name, 60)
    number = 1
    while shown in taken:
        number += 1
        shown = f"{clipped} ({number})"
    return shown


def families(names: Sequence[str]) -> dict[str, list[str]]:
    """Logged names that share a picture: those that differ only in the stage.

    Args:
        names: Logged names.

    Example:
        >>> families(["train_loss", "mrr_validation", "validation_loss"])
        {'loss': ['train_loss', 'validation_loss'], 'mrr': ['mrr_validation']}
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_STAGE.sub("", name) or name, []).append(name)
    return found


def _metrics_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = list(path.glob("metrics.csv")) or list(path.glob("version_*/metrics.csv"))
    if not files:
        raise FileNotFoundError(
            f"{path} holds no metrics.csv. Expected the folder that CSVLogger writes (its log_dir), or one of its "
            "versions: look at what the Trainer's logger got as save_dir and name."
        )
    return max(files, key=_version)


def _version(file: Path) -> tuple[int, str]:
    number = file.parent.name.rpartition("_")[2]
    return (int(number) if number.isdigit() else -1), str(file)


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return [
            {name: _number(cell, path, reader.line_num, name) for name, cell in row.items() if name and cell}
            for row in reader
        ]


def _number(cell: str, path: Path, line: int, name: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(
            f"{path}, line {line}, field {name!r}: {cell[:80]!r} is no number. Expected the metrics.csv that "
            "Lightning's CSVLogger writes."
        ) from None
    return int(value) if value.is_integer() and name in _AXES else value


def _checked(row: Any, place: int) -> dict[str, float]:
    if not isinstance(row, Mapping):
        raise TypeError(
            f"Entry {place} of the training log is a {type(row).__name__}; expected a dict of logged values, such as "
            '{"step": 10, "train_loss": 0.5}.'
        )
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"Entry {place} of the training log has {name!r}: {value!r}; expected a number.") from None
        numbers[str(name)] = int(number) if name in _AXES and number.is_integer() else number
    return numbers
