"""CSV and TSV files, as they come."""

import csv

import pytest

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.delimited import delimited_table
from quaterion.dataset.files.table import Fault


def rows(path, *wanted, delimiter=None):
    return list(delimited_table(path, delimiter).rows(wanted))


def fault(path, *wanted, delimiter=None):
    (found,) = [(place, values) for place, values in rows(path, *wanted, delimiter=delimiter) if type(values) is Fault]
    return found


def test_a_text_over_several_lines_is_one_field_and_places_are_lines_where_rows_begin(write):
    path = write("a.csv", 'text,label\n"one\ntwo, ""three""",a\n\nfour,b\n')
    assert rows(path, "label", "text") == [(2, ("a", 'one\ntwo, "three"')), (5, ("b", "four"))]


def test_a_tsv_with_texts_over_several_lines_is_read(write):
    path = write("a.tsv", 'text\tlabel\n"one\ntwo"\ta\nthree\tb\n')
    assert rows(path, "text", delimiter="\t") == [(2, ("one\ntwo",)), (4, ("three",))]


def test_a_tsv_whose_program_quotes_nothing_keeps_its_quotes(write):
    content = 'text\tlabel\n"Well" he said\ta\nten 5" screens\tb\n"never closed\tc\nlast\td\n'
    found = rows(write("a.tsv", content), "text", delimiter="\t")
    assert found == [(2, ('"Well" he said',)), (3, ('ten 5" screens',)), (4, ('"never closed',)), (5, ("last",))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_give_the_same_rows(write, end):
    path = write("a.csv", end.join(["text,label", "one,a", "two,b", ""]))
    assert rows(path, "text", "label") == [(2, ("one", "a")), (3, ("two", "b"))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_although_texts_hold_others(write, delimiter):
    texts = ["yes, no, well", "one; two", "a|b", "plain"]
    lines = [delimiter.join(["text", "label"])]
    lines += [delimiter.join([f'"{text}"' if delimiter in text else text, "a"]) for text in texts]
    assert [values[0] for _, values in rows(write("a.csv", "\n".join(lines)), "text")] == texts


def test_a_row_with_too_few_fields_names_the_first_that_is_missing(write):
    place, found = fault(write("a.csv", "id,text,label\n1,one\n2,two,b\n"), "text", "label")
    assert (place, found.field) == (2, "label")
    assert "has 2 fields and the first row 3" in found.problem


def test_a_row_with_too_many_fields_advises_quotes(write):
    place, found = fault(write("a.csv", "text,label\none,a\ntwo,three,b\nfour,d\n"), "text")
    assert (place, found.field) == (3, None)
    assert "double quotes" in found.problem


def test_delimiters_at_the_end_of_a_row_are_no_fields(write):
    assert rows(write("a.csv", "text,label\none,a,,\ntwo,b\n"), "label") == [(2, ("a",)), (3, ("b",))]


def test_a_file_that_ends_within_a_row_is_told_to_be_cut_off(write):
    place, found = fault(write("a.csv", "text,label\none,a\ntw"), "text", "label")
    assert (place, found.field) == (3, "label")
    assert "cut off" in found.problem


def test_a_quote_that_is_never_closed_names_its_line_and_field_and_costs_only_its_line(write):
    found = rows(write("a.csv", 'id,text,label\n1,one,a\n2,"two,b\n3,three,c\n'), "text")
    assert [place for place, _ in found] == [2, 3, 4]
    assert found[1][1].field == "text"
    assert "never closed" in found[1][1].problem
    assert found[2] == (4, ("three",))


def test_text_behind_a_closing_quote_names_its_line_and_field(write):
    place, found = fault(write("a.csv", 'text,label\n"one, ""two""",a\n"a","b" c\nthree,b\n'), "text")
    assert (place, found.field) == (3, "label")
    assert "double the quotes" in found.problem


def test_a_huge_field_is_refused_with_its_line_and_without_a_change_of_the_limit(write):
    limit = csv.field_size_limit()
    place, found = fault(write("a.csv", f"text,label\none,a\n{'x' * (limit + 1)},b\nthree,c\n"), "text")
    assert (place, found.field, f"longer than {limit:,} characters" in found.problem) == (3, "text", True)
    assert csv.field_size_limit() == limit
    assert len(rows(write("b.csv", f"text,label\n{'x' * limit},b\n"), "text")[0][1][0]) == limit


def test_a_header_that_cannot_be_read_is_an_error(write):
    with pytest.raises(ValueError, match="a.csv, line 1: text follows a closing quote"):
        delimited_table(write("a.csv", '"text" x,label\none,a\n'))


@pytest.mark.parametrize("content", ['{"text": "one", "label": "a"}\n', '[{"text": "one", "label": "a"}]'])
def test_json_in_a_csv_file_is_told(write, content):
    with pytest.raises(ValueError, match=r"a\.csv holds JSON\. Give it the suffix \.jsonl"):
        delimited_table(write("a.csv", content))


def test_a_file_without_a_header_is_read_by_numbers_and_loses_no_row(write):
    path = write("a.csv", "one,two,0.5\nthree,four,1\n")
    samples = read_samples(path, anchor=1, positive="2", score=3)
    assert [(one.obj_a, one.obj_b, one.score) for one in samples] == [("one", "two", 0.5), ("three", "four", 1.0)]


def test_a_delimiter_that_all_rows_agree_on_wins_over_one_that_the_first_has_more_of(write):
    path = write("a.csv", "well, yes, I think;a\nno;b\nwhy, then;c\n")
    assert [one.group for one in read_samples(path, text=1, group=2)] == ["a", "b", "c"]
