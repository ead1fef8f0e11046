"""JSON lines, and JSON files with a list."""

import json

import pytest

from quaterion.dataset.files import read_samples


def test_lists_of_negatives_and_rows_without_any_are_read(write):
    lines = [
        {"question": "one", "answer": "two", "negatives": ["three", "four"]},
        {"question": "five", "answer": "six"},
    ]
    samples = read_samples(write("a.jsonl", "\n".join(map(json.dumps, lines))))
    assert [list(one.negatives) for one in samples] == [["three", "four"], []]


def test_a_line_that_is_no_json_names_its_line(write):
    path = write("a.jsonl", '{"text": "one", "label": "a"}\n\n{"text": oops}\n{"text": "two", "label": "b"}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 3: this is no JSON \(Expecting value, column 10\)"):
        read_samples(path)
    samples = read_samples(path, skip_bad_rows=True)
    assert [one.obj for one in samples] == ["one", "two"]
    assert samples.remarks[0].place == 3


def test_a_file_that_ends_within_a_line_is_told_to_be_cut_off(write):
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2: .*cut off here"):
        read_samples(write("a.jsonl", '{"text": "one", "label": "a"}\n{"text": "tw'))


def test_a_line_with_something_else_than_an_object_is_bad(write):
    with pytest.raises(ValueError, match=r"line 2: list \['two', 'b'\] is no JSON object"):
        read_samples(write("a.jsonl", '{"text": "one", "label": "a"}\n["two", "b"]\n'))


def test_a_field_that_a_row_lacks_is_bad_and_one_that_is_null_is_empty(write):
    path = write("a.jsonl", '{"text": "one", "label": "a"}\n{"text": "two"}\n{"text": null, "label": "b"}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl, line 2, field 'label': the field is missing"):
        read_samples(path)
    samples = read_samples(path, skip_bad_rows=True)
    assert (len(samples), samples.counts["bad"], samples.counts["empty"]) == (1, 1, 1)


def test_a_number_where_a_text_should_be_is_bad(write):
    with pytest.raises(ValueError, match="line 1, field 'text': 12 is a number; expected a text in quotes"):
        read_samples(write("a.jsonl", '{"text": 12, "label": "a"}\n'))


def test_groups_may_be_numbers(write):
    samples = read_samples(write("a.jsonl", '{"text": "one", "label": 1}\n{"text": "two", "label": 2}\n'))
    assert [one.group for one in samples] == [1, 2]


def test_a_json_file_with_a_list_is_read_and_its_places_are_items(write):
    content = [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}, {"text": "two", "label": "b"}]
    samples = read_samples(write("a.json", json.dumps(content, indent=1)))
    assert [one.obj for one in samples] == ["one", "two"]
    assert "item 2" in str(samples)
    with pytest.raises(ValueError, match=r"b\.json, line 2: this is no JSON"):
        read_samples(write("b.json", '[{"text": "one"},\n{"text" "two"}]'))


def test_lines_of_other_lengths_than_json_ends_stay_whole(write):
    samples = read_samples(write("a.jsonl", '{"text": "a\u2028b", "label": "x"}\n{"text": "c", "label": "x"}\n'))
    assert [one.obj for one in samples] == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            "text,label\none,a\n",
            r"a\.json, line 1: this is no JSON \(.*an object on each line, or one list",
        ),
        ("a.json", '{\n "data": []\n}', r"a\.json, line 1: this is no JSON .*No other row is one either"),
        ("a.json", '[["one", "a"]]', r"a\.json, item 0: list \['one', 'a'\] is no JSON object"),
        ("a.jsonl", "5\n", r"a\.jsonl, line 1: int 5 is no JSON object.*}\.$"),
        ("a.json", "[]", r"a\.json has no rows with fields; expected one for each sample"),
    ],
)
def test_json_without_a_single_object_says_so_and_asks_for_no_columns(write, name, content, message):
    with pytest.raises(ValueError, match=message):
        read_samples(write(name, content))


def test_json_that_python_does_not_read_names_file_and_line(write):
    good = '{"text": "one", "label": "a"}'
    numbers, depths = f'{{"text": "two", "label": {"9" * 5000}}}', f'{{"text": {"[" * 100_000}'
    for bad, problem in ((numbers, "a number of thousands of digits"), (depths, "JSON that is nested too deeply")):
        with pytest.raises(ValueError, match=rf"a\.jsonl, line 2: holds {problem}"):
            read_samples(write("a.jsonl", f"{good}\n{bad}\n"))
        with pytest.raises(ValueError, match=rf"b\.json holds {problem}"):
            read_samples(write("b.json", f"[{good},\n{bad}"))
