"""What the tables of all subjects are made of."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

WIDTH = 130

Measured = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table."""
    first, *others = [f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows)]
    return [first, "|" + "---|" * len(head), *others]


def wrapped(text: str) -> str:
    """A paragraph in lines of the pages' width."""
    return textwrap.fill(text, width=WIDTH, break_long_words=False, break_on_hyphens=False)


def percent(value: Any) -> str:
    """A share in percent, or the mean and the standard deviation of several."""
    if isinstance(value, dict):
        return f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}"
    return f"{100 * value:.1f}"


def interval(found: dict[str, float]) -> str:
    """A share with its confidence interval."""
    return f"{100 * found['value']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def of_the_time(ratio: float, digits: int = 2) -> str:
    """How a time compares with another."""
    return f"{ratio:.{digits}f} of the time"


def source(name: str, measured: Measured) -> str:
    """The sentence above a table: the script, the command and the machine."""
    return wrapped(f'Measured by `benchmarks/{name}.py` (`make bench ARGS="{name}"`) {_machine(measured)}.')


def _machine(measured: Measured) -> str:
    about = {name: measured[name] for name in ("torch", "threads") if name in measured} | measured.get("machine", {})
    threads = f"{about['threads']} CPU {'thread' if about['threads'] == 1 else 'threads'}" if "threads" in about else ""
    processor = f" ({about['processor']})" if threads and "processor" in about else ""
    where = about.get("gpu") or threads + processor
    programs = [f"torch {about['torch']}", *([f"Python {about['python']}"] if "python" in about else [])]
    return f"{'on ' + where + ', ' if where else ''}with {', '.join(programs)}"
