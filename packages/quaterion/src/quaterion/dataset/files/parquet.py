"""Parquet files as tables."""

from pathlib import Path
from typing import Any

from quaterion.dataset.files.table import Table, column_table
from quaterion_models.extras import require

__all__ = ["parquet_table"]


def parquet_table(path: Path) -> Table:
    """A Parquet file as a table whose places are rows, counted from 1; only the columns that are used are read.

    Args:
        path: The file.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: It is no Parquet file, or is damaged.
        OSError: It cannot be read.
    """
    path.open("rb").close()  # an ordinary error where it cannot be opened
    parquet = require("pyarrow.parquet", extra="parquet", distribution="quaterion")
    arrow_error: Any = require("pyarrow", extra="parquet", distribution="quaterion").ArrowException
    try:
        names = parquet.ParquetFile(path).schema_arrow.names
    except (arrow_error, OSError) as error:
        raise ValueError(_damaged(path, error)) from error

    def values(name: str) -> list[Any]:
        try:
            column: list[Any] = parquet.read_table(path, columns=[name]).column(name).to_pylist()
        except (arrow_error, OSError) as error:
            raise ValueError(_damaged(path, error)) from error
        return column

    return column_table(path.name, names, values, first=1, only_text=True)


def _damaged(path: Path, error: Exception) -> str:
    return f"{path.name} is no whole Parquet file ({error!s:.200}). Write it again, or give it the suffix that fits it."
