"""From files, frames or folders of images to samples for training, for choosing, and for the final test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quaterion.dataset.files.columns import ColumnName
from quaterion.dataset.files.open_table import FileFormat
from quaterion.dataset.similarity_samples import SimilarityGroupSample
from quaterion.tuning.data.group_names import group_name_samples
from quaterion.tuning.data.measurable import can_be_measured, why_not
from quaterion.tuning.data.overlap import shared_documents, without_copies
from quaterion.tuning.data.sources import read_parts
from quaterion.tuning.splits.folds import Form, hold_out
from quaterion.utils.counted import counted

__all__ = ["TuningData", "read_tuning_data"]

NAMES = {"train": "training", "validation": "validation", "test": "test"}
ONE = {"groups": "sample", "pairs": "pair", "scored pairs": "scored pair"}


@dataclass(frozen=True)
class TuningData:
    """Samples for training, for choosing between recipes, and for the final test.

    No object of the test samples is in the others; only the documents of pairs may be in several parts, where the user
    made the parts.

    Args:
        form: What the samples are.
        train: All that the search and the final training learn from.
        validation: What the search chooses by, where the user gave it; else None, and it takes parts of `train`.
        test: What the result is measured on, once; may be empty.
        notes: Lines of text for people: what was read, left out and held out.
        columns: The column of each role, as in `Samples.columns`; none of a folder of images.
    """

    form: Form
    train: Sequence[Any]
    validation: Sequence[Any] | None
    test: Sequence[Any]
    notes: list[str]
    columns: dict[str, str | tuple[str, ...]]

    @property
    def group_names(self) -> list[SimilarityGroupSample]:
        """Names of the training data's groups as samples: of texts, where a name can be read."""
        if self.form != "groups":
            return []
        return group_name_samples([*self.train, *(self.validation or ())], self.test)


def read_tuning_data(
    data: Any,
    *,
    text: ColumnName | None = None,
    group: ColumnName | None = None,
    anchor: ColumnName | None = None,
    positive: ColumnName | None = None,
    negatives: ColumnName | Sequence[ColumnName] | None = None,
    score: ColumnName | None = None,
    score_range: tuple[float, float] | None = None,
    validation: Any = None,
    test: Any = None,
    split: ColumnName | None = None,
    test_size: float = 0.2,
    unseen_groups: bool = False,
    skip_bad_rows: bool = False,
    format: FileFormat | None = None,  # noqa: A002 - what it is called everywhere
    seed: int = 0,
) -> TuningData:
    """Reads data, and holds samples out for the final test where none are given.

    Test data that the user gives stay whole. Training samples with an object of the test or the validation data are
    left out, and so are validation samples with an object of the test data. Of pairs without scores, documents alone do
    not count: training and test may search the same ones.

    Args:
        data: What `read_samples` takes (a file, a list of dictionaries, a frame), or a folder with a folder of images
            for each class.
        text: Column of objects that belong to groups; columns are found by usual names where none are given.
        group: Column of their groups.
        anchor: Column of the first object of pairs.
        positive: Column of the second object.
        negatives: Column, or columns, of objects that are not similar to the anchor.
        score: Column of the pairs' scores.
        score_range: Lowest and highest score that the data could have, which become 0 and 1.
        validation: Data to choose by, of the same form.
        test: Data for the final test, of the same form.
        split: Column that says of each row of `data` whether it is for train, validation (or val, valid, dev) or test.
        test_size: Share of the samples, or number of samples, to hold out where neither `test` nor `split` gives any;
            0 for none.
        unseen_groups: Hold out whole groups; by default, objects of every group.
        skip_bad_rows: Leave out rows that cannot be read, and count them, instead of stopping.
        format: Format of files; None to tell it by the suffix.
        seed: Seed of what is held out.

    Returns:
        The samples, and what happened to the others.

    Raises:
        ValueError: Data cannot be read (the message names file, line and field) or do not fit each other, or what is
            wanted leaves nothing.
        TypeError: A source is none of those listed.
        ImportError: A Parquet file is read without pyarrow.
        OSError: A file cannot be read.

    Example:
        >>> rows = [{"text": f"text {number}", "group": number % 3} for number in range(30)]
        >>> data = read_tuning_data(rows)
        >>> len(data.train), len(data.test)
        (24, 6)
        >>> for note in data.notes:
        ...     print(note)
        30 samples of 3 groups in a list (30 rows).
        Held out 6 of 30 samples for the test, the same share of each group (seed 0).
    """
    parts = read_parts(
        {"train": data, "validation": validation, "test": test},
        split=None if split is None else str(split),
        file_format=format,
        options={
            "text": text,
            "group": group,
            "anchor": anchor,
            "positive": positive,
            "negatives": negatives,
            "score": score,
            "score_range": score_range,
            "skip_bad_rows": skip_bad_rows,
        },
    )
    form, samples = parts["train"].form, {name: part.samples for name, part in parts.items()}
    notes = [
        line if len(parts) == 1 else f"{NAMES[name].capitalize()}: {line}"
        for name, part in parts.items()
        for line in part.notes
    ]
    notes += _leave_out_copies(samples, form)
    if form == "groups":
        notes += _check_groups(samples, unseen_groups)
    _check_measurable(samples, form, unseen_groups)
    if "test" not in samples and test_size:
        notes += _hold_out(samples, form, test_size, unseen_groups, seed)
    return TuningData(
        form,
        samples["train"],
        samples.get("validation"),
        samples.get("test", []),
        notes,
        parts["train"].columns,
    )


def _check_measurable(samples: dict[str, list[Any]], form: Form, unseen_groups: bool) -> None:
    for name, part in samples.items():
        measured = name != "train" or form == "scored pairs"  # too few groups are told where they are split
        if measured and not can_be_measured(part, form, unseen_groups):
            raise ValueError(
                f"Nothing can be measured on the {NAMES[name]} data: {why_not(form)}. Expected some that differ: check "
                "whether the right column was named, or give more data."
            )


def _check_groups(samples: dict[str, list[Any]], unseen_groups: bool) -> list[str]:
    known = {sample.group for sample in samples["train"]}
    if len(known) < 2:
        raise ValueError(
            f"All training samples are in one group, {next(iter(known))!r}, not counting objects of validation and "
            "test data. Expected two groups or more: check whether the right column was named."
        )
    notes = []
    for name in ("validation", "test"):
        theirs = {sample.group for sample in samples.get(name, ())}
        unknown, title = theirs - known, NAMES[name].capitalize()
        if theirs and unknown == theirs and not unseen_groups:
            raise ValueError(
                f"None of the groups of the {name} data (such as {min(theirs, key=str)!r}) is in the training data "
                f"(such as {min(known, key=str)!r}). Expected the same groups; to measure on groups that were not "
                "learned, choose unseen_groups=True (--unseen-groups)."
            )
        if unknown and not unseen_groups:
            count = sum(sample.group in unknown for sample in samples[name])
            notes.append(f"{title}: {counted(count, 'sample')} of groups that the training data lack.")
        if unseen_groups and theirs & known:
            notes.append(f"{title}: {counted(len(theirs & known), 'group')} of the training data, not unseen.")
    return notes


def _leave_out_copies(samples: dict[str, list[Any]], form: Form) -> list[str]:
    """Leaves out, in place, what would let a part know another one."""
    notes = []
    for name, other in (("validation", "test"), ("train", "test"), ("train", "validation")):
        if name not in samples or other not in samples:
            continue
        kept = without_copies(samples[name], samples[other], form)
        left_out = counted(len(samples[name]) - len(kept), ONE[form])
        if len(kept) < len(samples[name]):
            notes.append(f"Left out of the {NAMES[name]} data: {left_out} with an object of the {other} data.")
        if not kept:
            raise ValueError(
                f"The {NAMES[name]} data has nothing but {left_out} with an object of the {other} data, so nothing "
                "would be left. Give other data, or one set alone to have it split (test_size)."
            )
        shared = shared_documents(kept, samples[other]) if form == "pairs" else 0
        if shared:
            notes.append(f"{counted(shared, 'document')} of the {other} data are in the {NAMES[name]} data, too.")
        samples[name] = kept
    return notes


def _hold_out(samples: dict[str, list[Any]], form: Form, size: float, unseen_groups: bool, seed: int) -> list[str]:
    """Moves training samples to the test, in place."""
    train = samples["train"]
    kept, held = hold_out(train, form, size, unseen_groups=unseen_groups, seed=seed)
    parts = [[train[place] for place in places] for places in (kept, held)]
    if not held or not kept or not all(can_be_measured(part, form, unseen_groups) for part in parts):
        why = "every group has one object" if form == "groups" else "too many pairs have objects in common"
        if held and kept:
            why = f"{why_not(form)} in what would be, or in what would be left"
        return [f"Nothing was held out for the test: {why}. Give test data to have the result measured."]
    samples["train"], samples["test"] = parts
    how = "with no object in common"
    if form == "groups":
        how = "whole groups" if unseen_groups else "the same share of each group"
    notes = [f"Held out {len(held):,} of {counted(len(train), ONE[form])} for the test, {how} (seed {seed})."]
    dropped = len(train) - len(kept) - len(held)
    if dropped:
        notes.append(f"Dropped {counted(dropped, ONE[form])} with objects on both sides.")
    return notes
