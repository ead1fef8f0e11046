"""What `quaterion demo` prints in the end: a table of scores, and answers side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from quaterion.functional.bootstrap import Interval

if TYPE_CHECKING:
    from quaterion.demo.run import DemoResult
    from quaterion.demo.search import Answer

__all__ = ["print_report"]

WIDTH = 80  # at most, so that tables read the same in a terminal and in a file


def print_report(result: "DemoResult", console: Console | None = None) -> None:
    """Prints scores, answers and where the model is.

    Args:
        result: What the demo found.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    console = Console(file=console.file, width=min(WIDTH, console.width), highlight=False, markup=False)
    split = result.split
    console.print(
        f"\nSearched for {len(split.test):,} descriptions that training never saw, among all {len(result.entries):,} "
        f"entries. Learned from {len(split.train):,}, and chose the epoch by {len(split.validation):,}.\n"
    )
    console.print(_scores(result.before, result.after))
    console.print("\nMRR: mean of 1 / rank of the right entry. recall@k: share found in the first k.", style="dim")
    console.print("In brackets: 95 % bootstrap intervals.", style="dim")
    for answer in result.answers:
        console.print()
        console.print(_answer(answer))
    console.print()
    console.print(f"{result.seconds['total']:.0f} s in all. The model is in {result.model_folder}; to use it:")
    console.print(
        f"""
    from quaterion_models import SimilarityModel
    model = SimilarityModel.load("{result.model_folder.as_posix()}")
    model.encode_query("what you want to do")""",
        soft_wrap=True,
    )


def _scores(before: Mapping[str, Interval], after: Mapping[str, Interval]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("search")
    for name in ("before training", "after training", "gain"):
        table.add_column(name, justify="right")
    for name, value in after.items():
        gain = value.value - before[name].value
        table.add_row(name.upper() if name == "mrr" else name, _cell(before[name]), _cell(value), f"{gain:+.3f}")
    return table


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _answer(answer: "Answer") -> Group:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, expand=True)
    table.add_column("", width=1)
    table.add_column("before training", ratio=1, no_wrap=True)
    table.add_column("after training", ratio=1, no_wrap=True)
    for rank, (old, new) in enumerate(zip(answer.before, answer.after, strict=True), start=1):
        found = new.name in [entry.name for entry in answer.before]
        table.add_row(str(rank), old.name, Text(new.name, style="" if found else "bold"))
    best = answer.after[0]
    return Group(
        Text(f"» {answer.question}", style="bold"),
        table,
        Text(f"  {best.call}", no_wrap=True, overflow="ellipsis"),
        Text(f"  {best.description}", style="dim", no_wrap=True, overflow="ellipsis"),
    )
