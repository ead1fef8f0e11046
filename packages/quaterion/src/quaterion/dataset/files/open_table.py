"""From a file or an object in memory to a table."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from quaterion.dataset.files.delimited import delimited_table
from quaterion.dataset.files.json_lines import json_table, record_table
from quaterion.dataset.files.parquet import parquet_table
from quaterion.dataset.files.table import Fault, Table, column_table

__all__ = ["FileFormat", "open_table"]

FileFormat = Literal["csv", "tsv", "json", "jsonl", "parquet"]
SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def open_table(source: Any, format: FileFormat | None = None) -> Table:  # noqa: A002 - what users call it
    """Finds out what a source is.

    Args:
        source: Path of a file, an iterable of dictionaries, a frame of pandas or polars, a table of pyarrow, or a data
            set of Hugging Face `datasets`; or a table, which stays as it is.
        format: Format of a file; None to tell it by the suffix.

    Raises:
        TypeError: The source is something else.
        ValueError: The format is not known, or the file is no such file.
        OSError: The file cannot be read.
    """
    if isinstance(source, str | Path):
        return _file_table(Path(source), format)
    if format is not None:
        raise ValueError(f"format={format!r} is for files, and the data is a {type(source).__name__}. Leave it out.")
    return source if isinstance(source, Table) else _memory_table(source)


def _file_table(path: Path, format: FileFormat | None) -> Table:  # noqa: A002
    if format is not None and format not in get_args(FileFormat):
        allowed = ", ".join(get_args(FileFormat))
        raise ValueError(f"format={format!r}; expected one of {allowed}, or None to tell it by the file's suffix.")
    found = format or SUFFIXES.get(path.suffix.lower())
    if found is None:
        if not path.is_file():
            path.open("rb").close()  # an error that says that it is missing, or a folder
        raise ValueError(
            f"{path.name} has the suffix {path.suffix!r}, which tells no format. Expected one of "
            f"{', '.join(SUFFIXES)}: rename the file, or pass format=, such as format='csv'."
        )
    if found == "parquet":
        return parquet_table(path)
    if found in {"json", "jsonl"}:
        return json_table(path)
    return delimited_table(path, "\t" if found == "tsv" else None)


def _memory_table(source: Any) -> Table:
    name = f"a {type(source).__name__}"
    if hasattr(source, "collect_schema") and hasattr(source, "collect"):  # a LazyFrame of polars
        raise TypeError(f"The data is {name}, which holds no rows yet. Pass what its collect() gives.")
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas
        return column_table(name, list(source.columns), lambda column: source[column].tolist())
    if hasattr(source, "get_column") and hasattr(source, "columns"):  # polars
        return column_table(name, list(source.columns), lambda column: source.get_column(column).to_list())
    names = getattr(source, "column_names", None)
    if isinstance(names, Mapping):  # a DatasetDict of Hugging Face
        raise TypeError(f"The data is {name} of {', '.join(map(repr, names))}. Pass one of them.")
    if isinstance(names, list):
        if hasattr(source, "to_pylist"):  # pyarrow
            return column_table(name, names, lambda column: source.column(column).to_pylist())
        # Hugging Face, with plain values instead of the tensors or arrays that its format may ask for.
        plain = source.with_format(None) if hasattr(source, "with_format") else source
        return column_table(name, names, lambda column: list(plain[column]))
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise TypeError(
            f"The data is {name}; expected the path of a file, a list of dictionaries, a frame of pandas or polars, or "
            "a data set of Hugging Face."
        )
    return record_table(name, "item", [(place, _record(one)) for place, one in enumerate(source)], only_text=False)


def _record(one: Any) -> Any:
    if isinstance(one, Mapping):
        return dict(one)
    return Fault(None, f"a {type(one).__name__} is no dictionary; expected one like {{'text': ..., 'group': ...}}")
