"""What was read of a file: samples, and what was left out or is odd about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from quaterion.dataset.similarity_samples import SimilarityGroupSample, SimilarityPairSample
from quaterion.utils.counted import counted

__all__ = ["Remark", "RemarkKind", "Samples"]

RemarkKind = Literal["bad", "empty", "duplicate", "conflict"]
PLURALS: dict[str, str] = {"bad": "bad", "empty": "empty", "duplicate": "duplicate", "conflict": "conflicting"}
SHOWN = 3


class Remark(NamedTuple):
    """Something about one row.

    Attributes:
        kind: `"bad"` and `"empty"` rows were left out, and so were `"duplicate"` ones, which would find each other;
            only scored pairs may repeat. Rows in `"conflict"` with another row were kept, since nothing tells which of
            them is right.
        place: Line of the file where the row begins, counted from 1 (of a Parquet file its row); of objects in memory
            the position, counted from 0.
        field: Column, where one is to blame.
        problem: What it is.
    """

    kind: RemarkKind
    place: int
    field: str | None
    problem: str


@dataclass(frozen=True)
class Samples:
    """Samples in the order of their rows, and what happened to the other rows; a data set for loaders and evaluations.

    Args:
        name: Where they come from, for messages.
        unit: What a place is: `"line"`, `"row"` or `"item"`.
        samples: All samples: of groups, or of pairs.
        columns: The column of each role: `"text"` and `"group"`, or `"anchor"`, `"positive"`, `"negatives"` and
            `"score"`.
        num_rows: Rows that were read.
        remarks: Rows that were left out or are odd, in their order.
        score_range: Lowest and highest score that the file could have; samples have them as 0 and 1. None where there
            are no scores.

    Example:
        >>> from quaterion.dataset.files import read_samples
        >>> samples = read_samples([{"text": "a cat", "group": "animal"}, {"text": "a cat", "group": "animal"}])
        >>> len(samples), samples[0].obj, samples.counts["duplicate"]
        (1, 'a cat', 1)
        >>> print(samples)
        1 sample of 1 group in a list (2 rows).
        Left out 1 duplicate row: item 1.
    """

    name: str
    unit: str
    samples: Sequence[Any]
    columns: dict[str, str | tuple[str, ...]]
    num_rows: int
    remarks: Sequence[Remark] = field(default=(), repr=False)
    score_range: tuple[float, float] | None = None

    @property
    def kind(self) -> Literal["groups", "pairs", "scored pairs"]:
        """Which form of data it is."""
        if "group" in self.columns:
            return "groups"
        return "pairs" if self.score_range is None else "scored pairs"

    @property
    def counts(self) -> dict[RemarkKind, int]:
        """Number of rows of each kind of remark."""
        counts: dict[RemarkKind, int] = {"bad": 0, "empty": 0, "duplicate": 0, "conflict": 0}
        for remark in self.remarks:
            counts[remark.kind] += 1
        return counts

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> SimilarityGroupSample | SimilarityPairSample:
        sample: SimilarityGroupSample | SimilarityPairSample = self.samples[index]
        return sample

    def __iter__(self) -> Iterator[Any]:
        return iter(self.samples)

    def __str__(self) -> str:
        return "\n".join([f"{self._what()} in {self.name} ({counted(self.num_rows, 'row')}).", *self.notes()])

    def notes(self) -> list[str]:
        """A line of text for each kind of remark that there is, and one about rescaled scores."""
        notes = []
        for kind, count in self.counts.items():
            if count:
                kept = kind == "conflict" or (kind == "duplicate" and self.kind == "scored pairs")
                verb = "Kept" if kept else "Left out"
                rows = counted(count, f"{PLURALS[kind]} row")
                notes.append(f"{verb} {rows}: {self._places(kind, count)}.")
        if self.score_range not in {None, (0.0, 1.0)} and self.score_range is not None:
            low, high = self.score_range
            notes.append(f"Scores from {low:g} to {high:g} were brought to 0 to 1.")
        return notes

    def _what(self) -> str:
        count = len(self.samples)
        if self.kind != "groups":
            return counted(count, "scored pair" if self.kind == "scored pairs" else "pair")
        groups = len({sample.group for sample in self.samples})
        return f"{counted(count, 'sample')} of {counted(groups, 'group')}"

    def _places(self, kind: RemarkKind, count: int) -> str:
        first = [remark for remark in self.remarks if remark.kind == kind][:SHOWN]
        if kind in {"bad", "conflict"}:
            listed = "; ".join(
                f"{self.unit} {remark.place:,}, {f'field {remark.field!r}: ' if remark.field else ''}{remark.problem}"
                for remark in first
            )
        else:
            listed = f"{self.unit}{'s' * (count != 1)} " + ", ".join(f"{remark.place:,}" for remark in first)
        return listed if count <= SHOWN else f"{listed} and {count - SHOWN:,} more"
