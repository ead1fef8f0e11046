"""The table of the libraries that Quaterion is compared with, and which of them did better."""

from rendering.markdown import Measured, percent, table, wrapped

OURS = "quaterion.tune"


def side_by_side(measured: Measured) -> list[str]:
    methods = measured["methods"]
    rows = [
        (
            name,
            row["settings"],
            percent(row["first_draw"]["accuracy"]),
            _draws(row),
            f"{row['cpu_seconds']['mean']:.0f}",
        )
        for name, row in sorted(methods.items(), key=lambda one: -one[1]["first_draw"]["accuracy"])
    ]
    packages = sorted({f"{row['package']} {row['version']}" for row in methods.values()})
    return [
        *table(["", "settings", "accuracy, first draw", "all draws", "CPU seconds"], rows),
        "",
        wrapped(_better(methods)),
        "",
        wrapped(_searched(methods[OURS]["first_draw"])),
        "",
        wrapped(f"Versions: {', '.join(packages)}."),
    ]


def _draws(row: Measured) -> str:
    return f"{percent(row['accuracy'])} ({row['draws']})" if row["draws"] > 1 else ""


def _better(methods: dict[str, Measured]) -> str:
    """Says plainly who is ahead of Quaterion, on the draw that all have run on."""
    ours = methods[OURS]["first_draw"]
    ahead = [name for name, row in methods.items() if row["first_draw"]["accuracy"] > ours["accuracy"]]
    faster = [name for name, row in methods.items() if row["first_draw"]["cpu_seconds"] < ours["cpu_seconds"]]
    return (
        f"On the first draw, more accurate than `{OURS}`: {'; '.join(ahead) or 'none of them'}. "
        f"With less CPU time: {'; '.join(faster) or 'none of them'}."
    )


def _searched(ours: Measured) -> str:
    """How much of the machine the search had: its time is wall time, so a busy machine cuts it short."""
    return (
        f"The search of `{OURS}` ends by the clock. On the first draw it all took {ours['seconds']:.0f} s, in which it "
        f"had the processor for {ours['cpu_seconds']:.0f} s: on a busy machine it tries fewer recipes."
    )
