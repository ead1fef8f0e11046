"""Parquet files."""

import importlib.util

import pytest

from quaterion.dataset.files import read_samples

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'quaterion[parquet]'")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table():
    return pa.table({"text": ["one", "two", None, "one"], "label": [1, 2, 3, 1], "other": [["x"], ["y"], ["z"], ["w"]]})


def test_columns_are_read_and_rows_count_from_1(tmp_path, table):
    pq.write_table(table, tmp_path / "a.parquet")
    samples = read_samples(tmp_path / "a.parquet")
    assert [(one.obj, one.group) for one in samples] == [("one", 1), ("two", 2)]
    assert [(remark.kind, remark.place) for remark in samples.remarks] == [("empty", 3), ("duplicate", 4)]


def test_a_table_in_memory_gives_the_same_samples(tmp_path, table):
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(read_samples(table)) == list(read_samples(tmp_path / "a.parquet"))


def test_lists_of_negatives_are_read(tmp_path):
    table = pa.table({"anchor": ["one"], "positive": ["two"], "negatives": [["three", "four"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_samples(tmp_path / "a.parquet")[0].negatives == ["three", "four"]


def test_a_damaged_file_is_named(tmp_path, table):
    pq.write_table(table, tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.parquet is no whole Parquet file"):
        read_samples(tmp_path / "a.parquet")


def test_without_pyarrow_the_error_says_what_to_type(tmp_path, table, monkeypatch):
    pq.write_table(table, tmp_path / "a.parquet")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "quaterion\[parquet\]"'):
        read_samples(tmp_path / "a.parquet")


def test_a_number_where_a_text_should_be_names_its_row(tmp_path):
    pq.write_table(pa.table({"text": [12], "label": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet, row 1, field 'text': 12 is a number; expected a text"):
        read_samples(tmp_path / "a.parquet")
