"""Whether a result can be written is found out before the work."""

from pathlib import Path

import pytest

from quaterion.cli.output_file import check_writable


def test_a_new_file_leaves_nothing_but_its_folder_and_an_old_one_stays(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "a.json")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    (tmp_path / "old.json").write_text("kept")
    check_writable(tmp_path / "old.json")
    assert (tmp_path / "old.json").read_text() == "kept"


def test_what_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=str(tmp_path)):
        check_writable(tmp_path / "file" / "a.json")
    with pytest.raises(IsADirectoryError):
        check_writable(tmp_path)
