import pytest

from quaterion_runtime import Model
from quaterion_runtime.progress import progress_bar


def test_none_is_shown_unasked(capsys):
    with progress_bar(3, enabled=False) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_what_is_done_is_shown_on_standard_error(capsys):
    with progress_bar(3, enabled=True) as advance:
        advance(1)
        advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Encoding" in err and "2/3" in err


def test_a_stream_without_a_length_shows_how_many_are_done(golden, capsys):
    stream = Model.load(golden / "text").encode_stream(
        iter(["cat", None, "a"]), chunk_size=2, on_error="skip", show_progress=True
    )
    assert sum(len(chunk.vectors) for chunk in stream) == 2
    assert "3/?" in capsys.readouterr().err


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    message = r'rich is not installed\. Type: pip install "quaterion-runtime\[progress\]"'
    with pytest.raises(ImportError, match=message), progress_bar(3, enabled=True):
        pass
