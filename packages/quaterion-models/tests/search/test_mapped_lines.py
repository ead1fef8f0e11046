import pytest

from quaterion_models.search import mapped_lines
from quaterion_models.search.files import IndexFolderError
from quaterion_models.search.mapped_lines import MappedLines


@pytest.mark.parametrize("block", [1, 2, 2**24])
def test_lines_are_read_by_number_and_in_order(tmp_path, monkeypatch, block):
    monkeypatch.setattr(mapped_lines, "_BYTES_AT_A_TIME", block)
    monkeypatch.setattr(mapped_lines, "_LINES_AT_A_TIME", block)
    (tmp_path / "l").write_bytes(b"one\n\nthr\xc3\xa9e\n")
    lines = MappedLines(tmp_path / "l", 3)
    assert (lines[0], lines[1], lines[2], lines[-1]) == (b"one", b"", b"thr\xc3\xa9e", b"thr\xc3\xa9e")
    assert list(lines) == lines[:] == [b"one", b"", b"thr\xc3\xa9e"]
    with pytest.raises(IndexError):
        lines[3]


@pytest.mark.parametrize("content", [b"", b"one\n", b"one\ntwo", b"one\ntwo\nthree\n", b"one\ntwo\nth"])
def test_another_number_of_lines_is_refused(tmp_path, content):
    (tmp_path / "l").write_bytes(content)
    with pytest.raises(IndexFolderError, match="lines, expected 2. Make the index again"):
        MappedLines(tmp_path / "l", 2)
