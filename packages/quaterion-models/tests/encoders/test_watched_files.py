import pytest

from quaterion_models.encoders.watched_files import WatchedFiles


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights"
    path.write_text("one")
    return path


def watch(file):
    return WatchedFiles(file.parent, lambda folder: sorted(folder.iterdir()))


def test_files_that_stay_are_read(file):
    files = watch(file)
    assert files.loaded is None
    assert files.reading(file.read_text) == "one"
    assert files.loaded == files.digest()


def test_files_that_changed_before_they_were_read_are_refused(file):
    files = watch(file)
    file.write_text("another")
    with pytest.raises(ValueError, match="have changed since the encoder was built"):
        files.reading(file.read_text)
    files.digest()  # goes on with these
    assert files.reading(file.read_text) == "another"


def test_files_that_changed_after_a_digest_are_refused(file):
    files = watch(file)
    files.digest()
    file.write_text("another")
    with pytest.raises(ValueError, match="have changed since the encoder's fingerprint was taken"):
        files.reading(file.read_text)


def test_files_that_change_while_they_are_read_are_refused(file):
    files = watch(file)
    with pytest.raises(ValueError, match="have changed since the encoder was built"):
        files.reading(lambda: file.write_text("another"))
    assert files.loaded is None


def test_a_folder_that_is_gone_is_named(file, tmp_path):
    files = watch(file)
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    with pytest.raises(ValueError, match="is no longer there"):
        files.digest()
