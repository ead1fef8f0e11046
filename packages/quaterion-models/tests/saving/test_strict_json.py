import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quaterion_models.saving import strict_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(deadline=None)
@given(values)
def test_any_json_is_read_as_python_reads_it(value):
    text = json.dumps(value).encode()
    assert repr(strict_json.parse(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "the name 'a' stands twice in one object"),
        (b'{"a": 1, "\\u0061": 3}', "the name 'a' stands twice"),
        (b"[NaN]", "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b"[1e400]", "1e400 is no number of JSON"),
        (b"[1] [2]", "Extra data"),
        (b'["\xff"]', "invalid start byte"),
    ],
)
def test_what_readers_could_read_differently_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        strict_json.parse(text)


def test_the_number_of_values_is_never_counted_too_low(monkeypatch):
    text = json.dumps({"a": [[], {}, {"b": [1, 2]}], "c": "x"}).encode()
    # The object, a list, an empty list and object, an object, its list with two numbers, and a text: nine values.
    monkeypatch.setattr(strict_json, "_MOST_VALUES", 8)
    with pytest.raises(ValueError, match="about 10 values"):
        strict_json.check_size(text)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        strict_json.read_bytes(tmp_path / "pipe")


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(strict_json, "_LARGEST", 5)
    (tmp_path / "f").write_bytes(b"12345")
    assert strict_json.read_bytes(tmp_path / "f") == b"12345"
    (tmp_path / "f").write_bytes(b"123456")
    with pytest.raises(ValueError, match="larger than 5 bytes"):
        strict_json.read_bytes(tmp_path / "f")
