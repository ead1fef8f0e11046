"""Text files of any encoding that can be told."""

import pytest

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.text_lines import byte_problem, file_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(write, encoding):
    assert file_lines(write("a.csv", "text,label\r\nça,1\r\n".encode(encoding))) == ["text,label\r\n", "ça,1\r\n"]


def test_characters_that_some_take_for_line_ends_stay_within_their_line(write):
    assert file_lines(write("a.txt", "a\u2028b\x0cc\nd")) == ["a\u2028b\x0cc\n", "d"]


def test_an_undecodable_byte_names_file_line_and_field(write):
    path = write("a.csv", b"text,label\none,a\ncaf\xe9,b\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 3, field 'text': the byte 0xE9 is not UTF-8; save .* as UTF-8"):
        read_samples(path)
    assert [one.obj for one in read_samples(path, skip_bad_rows=True)] == ["one"]


def test_an_undecodable_byte_in_a_column_that_is_not_read_does_no_harm(write):
    path = write("a.csv", b"text,label,note\none,a,caf\xe9\n")
    assert len(read_samples(path)) == 1


def test_a_null_character_in_a_text_is_part_of_it(write):
    assert file_lines(write("a.txt", "a text with a\0 in it\n")) == ["a text with a\0 in it\n"]


def test_half_a_surrogate_pair_is_no_text():
    assert byte_problem("\ud83d") == "half a surrogate pair (U+D83D) is no character; write the whole character"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty; expected a row"),
        (b"\n \r\n", "is empty; expected a row"),
        (b"PK\x03\x04...", "zip or Excel file; save the table as CSV"),
        (b"\x1f\x8b...", "packed with gzip; unpack it"),
        (b"PAR1...", 'a Parquet file; give it the suffix .parquet, or pass format="parquet"'),
        (b"\xff\xfea", "begins like UTF-16"),
        (b"%PDF-1.7 ...", "a PDF; save its table as CSV"),
        (b"<!DOCTYPE html><title>404</title>", "a web page; download the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid ...", "pointer of Git LFS .* git lfs pull"),
        ("text,label\none,a\n".encode("utf-16-le"), "full of null characters, as text is in UTF-16 or UTF-32 without"),
        ("text,label\none,a\n".encode("utf-32"), "full of null characters"),
    ],
)
def test_what_is_no_text_is_told(write, content, match):
    with pytest.raises(ValueError, match=match):
        file_lines(write("a.csv", content))
