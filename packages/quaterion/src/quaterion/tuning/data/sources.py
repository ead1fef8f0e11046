"""Reading data for training, validation and test so that they fit each other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.open_table import FileFormat, open_table
from quaterion.tuning.data.image_folder import ImageFolders
from quaterion.tuning.data.split_column import split_table
from quaterion.tuning.splits.folds import Form

__all__ = ["SourcePart", "is_folder", "read_parts"]


@dataclass(frozen=True)
class SourcePart:
    """What one source holds.

    Args:
        form: What the samples are.
        samples: The samples.
        notes: Lines of text for people.
        columns: The column of each role; none of a folder of images.
        score_range: Lowest and highest score that the data could have, where there are scores.
    """

    form: Form
    samples: list[Any]
    notes: list[str]
    columns: dict[str, str | tuple[str, ...]]
    score_range: tuple[float, float] | None = None


def read_parts(
    sources: Mapping[str, Any], *, split: str | None, file_format: FileFormat | None, options: Mapping[str, Any]
) -> dict[str, SourcePart]:
    """Reads all sources.

    Args:
        sources: What was given as `"train"`, `"validation"` and `"test"`: each something that `read_samples` takes, a
            folder of images, or None.
        split: Column by which the training data is divided into the three.
        file_format: Format of files; None to tell it by the suffix.
        options: Columns, range of scores and treatment of bad rows, for `read_samples`.

    Returns:
        Parts by the same names, those that there are. Scores are on one scale.

    Raises:
        ValueError: A source cannot be read, or they do not fit each other.
        TypeError: A source is none of those listed.
        OSError: A file cannot be read.
    """
    if split is not None:
        sources = _divided(sources, split, file_format)
        file_format = None
    folders = ImageFolders()
    parts = {}
    for name, source in sources.items():
        if source is None:
            continue
        if is_folder(source):
            _refuse_columns(source, options)
            images, notes = folders.read(Path(source))
            parts[name] = SourcePart("groups", images, notes, {})
        else:
            # Validation and test data in memory beside a file have no format.
            known = file_format if name == "train" or isinstance(source, str | Path) else None
            read = read_samples(source, format=known, **options)
            parts[name] = SourcePart(
                read.kind, list(read.samples), str(read).splitlines(), dict(read.columns), read.score_range
            )
    _check_forms(parts)
    return _on_one_scale(parts)


def is_folder(source: Any) -> bool:
    """Whether a source is a folder, which is one of images by class.

    Args:
        source: What was given as data.
    """
    return isinstance(source, str | Path) and Path(source).is_dir()


def _divided(sources: Mapping[str, Any], split: str, file_format: FileFormat | None) -> Mapping[str, Any]:
    others = [name for name, source in sources.items() if name != "train" and source is not None]
    if others:
        raise ValueError(
            f"split={split!r} divides the data, and {' and '.join(others)} data were given, too. Expected one of them: "
            "leave out the column, or the other data."
        )
    data = sources["train"]
    if is_folder(data):
        raise ValueError(
            f"split={split!r} names a column, and {data} is a folder. Give the folders of its parts as data, "
            "validation and test."
        )
    return split_table(open_table(data, file_format), split)


def _refuse_columns(folder: Any, options: Mapping[str, Any]) -> None:
    given = [f"{key}={value!r}" for key, value in options.items() if value is not None and key != "skip_bad_rows"]
    if given:
        raise ValueError(
            f"{', '.join(given)} tells how to read a table, and {folder} is a folder of images. Leave it out."
        )


def _check_forms(parts: Mapping[str, SourcePart]) -> None:
    train = parts["train"]
    for name, part in parts.items():
        if part.form != train.form:
            raise ValueError(
                f"The {name} data are {_described(part)}, and the training data are {_described(train)}. Expected the "
                "same of both: name the columns, or give other data."
            )


def _described(part: SourcePart) -> str:
    if not part.columns:
        return f"{part.form} (a folder of images)"
    return f"{part.form} (columns {', '.join(map(str, part.columns.values()))})"


def _on_one_scale(parts: dict[str, SourcePart]) -> dict[str, SourcePart]:
    """Brings scores, each part of which went by its own highest score, to the highest of all."""
    highest = max((part.score_range[1] for part in parts.values() if part.score_range), default=0.0)
    return {name: _scaled(part, highest) for name, part in parts.items()}


def _scaled(part: SourcePart, highest: float) -> SourcePart:
    if part.score_range is None or part.score_range[1] == highest:
        return part
    factor = part.score_range[1] / highest
    samples = [replace(sample, score=sample.score * factor) for sample in part.samples]
    notes = [line for line in part.notes if not line.startswith("Scores from ")]
    told = f"Scores from 0 to {highest:g} were brought to 0 to 1."
    return replace(part, samples=samples, notes=[*notes, told], score_range=(0.0, highest))
