"""A column that says which part a row belongs to."""

import pytest

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.open_table import open_table
from quaterion.tuning.data.split_column import split_table

HEADER = "text,label,part\n"


@pytest.fixture
def tables(tmp_path):
    def read(content, column="part"):
        path = tmp_path / "some.csv"
        path.write_text(content)
        return split_table(open_table(path), column)

    return read


def objects(table):
    return [sample.obj for sample in read_samples(table)]


def test_rows_go_where_they_say_in_any_case(tables):
    names = ["train", "Training", "TRAIN ", "val", "valid", "Validation", "dev", "Test"]
    found = tables(HEADER + "".join(f"text {name.strip()},a,{name}\n" for name in names))
    assert list(found) == ["train", "validation", "test"]
    assert objects(found["train"]) == ["text train", "text Training", "text TRAIN"]
    assert objects(found["validation"]) == ["text val", "text valid", "text Validation", "text dev"]
    assert objects(found["test"]) == ["text Test"]


def test_splits_without_rows_are_none(tables):
    assert list(tables(HEADER + "one,a,train\n")) == ["train"]


def test_a_file_without_a_header_has_numbers(tables):
    found = tables("one,a,train\ntwo,b,test\n", "3")
    (sample,) = read_samples(found["test"], text=1, group=2)
    assert (sample.obj, sample.group) == ("two", "b")


def test_the_column_is_not_taken_for_another_role(tables):
    found = tables("text,x,part\none,a,train\n")
    assert read_samples(found["train"], text="text").columns == {"text": "text", "group": "x"}


@pytest.mark.parametrize(
    ("value", "problem"), [("tst", "'tst' is no split"), ("", "nothing is in it"), ("1", "'1' is no split")]
)
def test_a_value_that_is_no_split_names_line_field_and_value(tables, value, problem):
    found = tables(f"{HEADER}one,a,train\ntwo,a,{value}\nthree,a,test\n")
    expected = rf"some\.csv, line 3, field 'part': {problem}; expected train, validation \(or val, valid, dev\) or test"
    with pytest.raises(ValueError, match=expected):
        read_samples(found["train"])
    read = read_samples(found["train"], skip_bad_rows=True)
    assert [sample.obj for sample in read] == ["one"] and read.counts["bad"] == 1
    assert objects(found["test"]) == ["three"]


def test_rows_that_cannot_be_read_are_told_once(tables):
    found = tables(f"{HEADER}one,a,train\ntwo\nthree,a,test\n")
    assert read_samples(found["train"], skip_bad_rows=True).counts["bad"] == 1
    assert read_samples(found["test"]).counts["bad"] == 0


def test_no_training_rows_are_an_error(tables):
    with pytest.raises(
        ValueError, match="No row of some.csv is for training: the column 'part' says test or validation"
    ):
        tables(f"{HEADER}one,a,dev\ntwo,a,test\n")
    with pytest.raises(ValueError, match="No row of some.csv is for training: the column 'part' says nothing in all"):
        tables(HEADER)


def test_a_column_that_is_missing_or_there_twice_is_an_error(tables):
    with pytest.raises(ValueError, match="some.csv has no column 'prat' for split. .* Did you mean 'part'"):
        tables(HEADER + "one,a,train\n", "prat")
    with pytest.raises(
        ValueError, match="no column 'zzz' for split. It has 'text', 'label', 'part'. Name the one that says"
    ):
        tables(HEADER + "one,a,train\n", "zzz")
    with pytest.raises(ValueError, match="some.csv has two columns of the name 'part'. Rename one"):
        tables("text,part,part\none,a,train\n")
