import os
import stat

import pytest

from quaterion_models.saving import new_folder as module
from quaterion_models.saving.files import ModelFolderError
from quaterion_models.saving.new_folder import exchange, find_folder, new_folder


def is_ours(path):
    return (path / "mark").exists()


def write(target, text):
    with new_folder(target, is_ours=is_ours, ours={"mark", "data"}) as folder:
        (folder / "mark").touch()
        (folder / "data").mkdir()
        (folder / "data" / "text").write_text(text)


def read(target):
    return (target / "data" / "text").read_text()


@pytest.fixture(params=["exchange", "two renames"])
def either_way(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr(module, "exchange", lambda one, other: False)


def left_beside(target):
    return sorted(entry.name for entry in target.parent.iterdir() if entry != target)


@pytest.mark.usefixtures("either_way")
def test_a_folder_is_made_replaced_and_nothing_is_left(tmp_path):
    target = tmp_path / "deep" / "folder"
    for text in ("one", "two", "three"):
        write(target, text)
        assert read(target) == text
        assert left_beside(target) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder", "one")
    assert read(tmp_path / "folder") == "one"


@pytest.mark.usefixtures("either_way")
def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    target = tmp_path / "folder"
    write(target, "one")
    with pytest.raises(FileNotFoundError), new_folder(target, is_ours=is_ours, ours={"mark"}) as folder:
        (folder / "missing" / "mark").touch()
    assert read(target) == "one"
    assert left_beside(target) == []


@pytest.mark.usefixtures("either_way")
def test_files_that_are_not_ours_stay(tmp_path):
    target = tmp_path / "folder"
    write(target, "one")
    (target / "notes.txt").write_text("mine")
    (target / "logs" / "deep").mkdir(parents=True)
    (target / "logs" / "deep" / "log").write_text("more")
    (target / "link").symlink_to("notes.txt")
    write(target, "two")
    assert read(target) == "two"
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "logs" / "deep" / "log").read_text() == "more"
    assert str((target / "link").readlink()) == "notes.txt"


def test_a_linked_folder_is_replaced_where_it_is(tmp_path):
    write(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "real") == "two"


def test_something_else_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelFolderError, match="holds files but no saved model, so it is not replaced"):
        write(tmp_path / "folder", "one")
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ModelFolderError, match=r"thesis\.tex is a file, expected a folder or nothing"):
        write(tmp_path / "folder" / "thesis.tex", "one")


def test_between_two_renames_the_old_folder_is_found(tmp_path):
    target = tmp_path / "folder"
    write(target, "one")
    old = target.with_name(module._side_name(target, "old"))
    target.rename(old)  # where a crash would leave it
    assert find_folder(target) == old
    assert read(find_folder(target)) == "one"
    assert find_folder(tmp_path / "other") == tmp_path / "other"


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("name", ["x" * 255, "ключ" * 31, "水" * 85], ids=["latin", "cyrillic", "chinese"])
def test_a_folder_may_have_any_name_that_the_system_allows(tmp_path, name):
    for text in ("one", "two"):
        write(tmp_path / name, text)
    assert read(tmp_path / name) == "two"
    assert left_beside(tmp_path / name) == []


def test_what_is_left_of_a_long_name_is_not_taken_for_that_of_another(tmp_path, monkeypatch):
    one, other = tmp_path / ("x" * 150 + "1"), tmp_path / ("x" * 150 + "2")
    write(one, "one")
    one.rename(one.with_name(module._side_name(one, "old")))
    assert find_folder(other) == other
    monkeypatch.setattr(module, "_alive", lambda process: False)
    write(other, "other")
    assert read(find_folder(one)) == "one"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_among_the_files_that_stay_is_not_waited_for(tmp_path):
    target = tmp_path / "folder"
    write(target, "one")
    (target / "logs").mkdir()
    os.mkfifo(target / "logs" / "pipe")
    write(target, "two")
    assert stat.S_ISFIFO((target / "logs" / "pipe").lstat().st_mode)


@pytest.mark.parametrize("kind", ["new", "old"])
def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path, monkeypatch, kind):
    target = tmp_path / "folder"
    write(target, "one")
    left = target.with_name(module._side_name(target, kind))
    left.mkdir()
    (left / "mark").touch()
    other = target.with_name(module._side_name(tmp_path / "folder2", kind))
    other.mkdir()
    write(target, "two")
    assert left.exists()  # its process, this one, is alive
    monkeypatch.setattr(module, "_alive", lambda process: False)
    write(target, "three")
    assert left_beside(target) == [other.name]
    assert read(target) == "three"


def test_an_old_folder_that_is_the_only_one_is_put_back_before_saving(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    write(target, "one")
    target.rename(target.with_name(module._side_name(target, "old")))
    monkeypatch.setattr(module, "_alive", lambda process: False)
    with pytest.raises(RuntimeError), new_folder(target, is_ours=is_ours, ours={"mark"}):
        raise RuntimeError
    assert read(target) == "one"


def test_a_second_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    write(target, "one")
    monkeypatch.setattr(module, "exchange", lambda one, other: False)
    real = type(target).rename

    def failing(self, other):
        if self.name.endswith(".new"):
            raise OSError("no")
        return real(self, other)

    monkeypatch.setattr(type(target), "rename", failing)
    with pytest.raises(OSError, match="no"):
        write(target, "two")
    assert read(target) == "one"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the system call is Linux's")
def test_exchange_swaps_in_one_step_and_reports_failures(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "missing")


def test_the_end_of_a_process_is_noticed():
    assert module._alive(os.getpid())
    assert not module._alive(2**22 + 12345)  # above the largest process number


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_place_is_an_error_of_the_system(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        write(tmp_path / "folder", "one")
