"""The examples of docs/how-to/encoders.md, run one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "encoders.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": ["pen", "ink"], "embedding": np.eye(2).tolist()}), "products.parquet")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 8
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
    assert names["by_row"].embedding_size == 4 and names["from_table"].embedding_size == 2
    assert names["model"].encode("a pen").shape == (1, 3)


def test_every_encoder_of_the_package_stands_in_the_table():
    from quaterion_models import encoders

    table = PAGE.read_text(encoding="utf-8").partition("## Models by name")[0]
    towers = {"ClipTextEncoder", "ClipImageEncoder"}  # parts of the ClipEncoder
    missing = [name for name in encoders.__all__ if name not in {"Encoder", *towers} and f"`{name}`" not in table]
    assert missing == []
