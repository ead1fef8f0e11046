"""From a file, or rows in memory, to samples."""

from collections.abc import Sequence
from typing import Any

from quaterion.dataset.files.columns import ColumnName, choose_roles
from quaterion.dataset.files.open_table import FileFormat, open_table
from quaterion.dataset.files.rows import GroupRows, PairRows, SampleRows
from quaterion.dataset.files.samples import Samples
from quaterion.dataset.files.scores import rescale_scores
from quaterion.dataset.files.table import Fault, Table

__all__ = ["read_samples"]


def read_samples(
    source: Any,
    *,
    text: ColumnName | None = None,
    group: ColumnName | None = None,
    anchor: ColumnName | None = None,
    positive: ColumnName | None = None,
    negatives: ColumnName | Sequence[ColumnName] | None = None,
    score: ColumnName | None = None,
    score_range: tuple[float, float] | None = None,
    format: FileFormat | None = None,  # noqa: A002 - what it is called everywhere
    skip_bad_rows: bool = False,
) -> Samples:
    """Reads objects with their groups, pairs, or pairs with scores.

    Columns that are not given are found by common names (`text` and `label`, `question` and `answer`, `sentence1`,
    `sentence2` and `score`, and so on) where there is no doubt.

    Rows with nothing in a field are left out, and so are those that repeat an earlier row, unless they have scores: the
    copies would find each other, whatever the model. Rows in conflict with an earlier one (the same object in another
    group, the same pair with another score) are kept; negatives that are the row's own positive are not. All of them
    are counted and listed in `Samples.remarks`.

    Args:
        source: Path of a file (CSV, TSV, JSON lines, JSON, Parquet), a list or other iterable of dictionaries, a frame
            of pandas or polars, a table of pyarrow, or a data set of Hugging Face.
        text: Column of objects that belong to groups: a name, or the number (from 1) in a file without a header.
        group: Column of their groups.
        anchor: Column of the first object of pairs.
        positive: Column of the second object.
        negatives: Column, or columns, of objects that are not similar to the anchor; fields may hold lists.
        score: Column of the pairs' scores: numbers, or true and false.
        score_range: Lowest and highest score that the data could have, which become 0 and 1. By default scores from 0
            to 1 stay as they are, others are taken to begin at 0 and to go up to the next whole number above the
            highest one (to 100, if that is above 10).
        format: Format of a file; None to tell it by the suffix.
        skip_bad_rows: Leave out rows that cannot be read and count them, instead of stopping.

    Returns:
        The samples.

    Raises:
        ValueError: The columns cannot be told, a row is bad (the message names file, line and field), or nothing is
            left.
        TypeError: The source is none of those listed.
        ImportError: A Parquet file is read without pyarrow.
        OSError: The file cannot be read.

    Example:
        >>> rows = [{"question": "capital of France", "answer": "Paris", "negative": "Lyon"}]
        >>> read_samples(rows)[0]
        SimilarityPairSample(obj_a='capital of France', obj_b='Paris', score=1.0, subgroup=0, negatives=['Lyon'])
        >>> read_samples([{"left": "a cat", "right": "a dog", "score": 3}], score_range=(0, 5))[0].score
        0.6
    """
    given = {"text": text, "group": group, "anchor": anchor, "positive": positive, "score": score}
    table, roles = choose_roles(open_table(source, format), given, negatives)
    builder: SampleRows = GroupRows(table, roles) if "group" in roles.columns else PairRows(table, roles)
    num_rows = 0
    for place, values in table.rows(roles.wanted):
        num_rows += 1
        if isinstance(values, Fault):
            builder.remark("bad", place, values.field, values.problem)
        else:
            builder.add(place, values)
    bad = [remark for remark in builder.remarks if remark.kind == "bad"]
    if bad and not skip_bad_rows:
        raise ValueError(_bad_rows(table, bad))
    if not builder.samples:
        raise ValueError(_nothing_left(table, builder, num_rows))
    scaled = None
    if "score" in roles.columns:
        scaled = rescale_scores(builder.samples, score_range, table.name, roles.columns["score"])
    columns: dict[str, str | tuple[str, ...]] = dict(roles.columns)
    if roles.negatives:
        columns["negatives"] = roles.negatives
    return Samples(table.name, table.unit, builder.samples, columns, num_rows, builder.remarks, scaled)


def _bad_rows(table: Table, bad: Sequence[Any]) -> str:
    first = bad[0]
    field = "" if first.field is None else f", field {first.field!r}"
    more = f" {len(bad) - 1:,} more row{'s are' if len(bad) > 2 else ' is'} bad." if len(bad) > 1 else ""
    return (
        f"{table.name}, {table.unit} {first.place:,}{field}: {first.problem}.{more} Mend the data, or leave such rows "
        "out with skip_bad_rows=True (--skip-bad-rows)."
    )


def _nothing_left(table: Table, builder: SampleRows, num_rows: int) -> str:
    if not num_rows:
        return (
            f"{table.name} has no rows{' below its header' if table.headerless else ''}; expected one for each sample."
        )
    first = builder.remarks[0]
    return (
        f"Not one of {num_rows:,} rows of {table.name} can be used; the first, {table.unit} {first.place:,}, is "
        f"{first.kind}{f' in the field {first.field!r}' if first.field else ''}: {first.problem}. Check whether the "
        "right columns were named."
    )
