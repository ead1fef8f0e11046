"""docs/how-to/encoders.md: a table of vectors."""

import re

import numpy as np

from page_blocks import ROOT
from quaterion_models import encoders

NEEDS = ["pyarrow", "gensim"]


def prepare(run):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["pen", "ink"], "embedding": np.eye(2).tolist()}), "products.parquet")


def check(run):
    assert run.names["by_row"].embedding_size == 4 and run.names["from_table"].embedding_size == 2
    assert run.names["model"].encode("a pen").shape == (1, 3)
    table = (ROOT / run.page).read_text(encoding="utf-8").partition("## Models by name")[0]
    towers = {"ClipTextEncoder", "ClipImageEncoder"}  # parts of the ClipEncoder
    named = set(re.findall(r"`(\w+)`", table))
    assert set(encoders.__all__) - {"Encoder", *towers} <= named
