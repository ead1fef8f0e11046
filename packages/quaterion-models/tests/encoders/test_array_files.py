import os

import numpy as np
import pytest

from quaterion_models.encoders.array_files import OpenedFiles, array_digest, mapped_array
from quaterion_models.file_digest import file_digest


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(4, 3), (0, 3), (5,), (3000, 1000)])
def test_an_array_has_the_digest_of_its_file(tmp_path, order, shape):
    array = np.asarray(np.random.default_rng(0).normal(size=shape), dtype=np.float32, order=order)
    np.save(tmp_path / "a.npy", array)
    assert array_digest(array) == file_digest(tmp_path / "a.npy") == array_digest(mapped_array(tmp_path / "a.npy"))


def test_a_mapped_array_is_read_only(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        mapped_array(tmp_path / "a.npy")[0] = 1


def test_files_are_digested_as_long_as_they_are_those_that_were_opened(tmp_path):
    arrays = [np.arange(3.0), np.arange(4)]
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    opened = OpenedFiles(files, mapped=True)
    opened.check_same()
    assert opened.unchanged() and opened.digests([]) == [file_digest(file) for file in files]
    files[1].unlink()
    with pytest.raises(ValueError, match=r"b\.npy changed since it was opened"):
        opened.check_same()
    assert not opened.unchanged() and opened.digests(arrays) == [array_digest(array) for array in arrays]


@pytest.mark.parametrize("mapped", [False, True])
def test_a_change_in_place_counts_where_the_file_is_mapped(tmp_path, mapped):
    np.save(tmp_path / "a.npy", np.arange(3.0))
    opened = OpenedFiles([tmp_path / "a.npy"], mapped=mapped)
    os.utime(tmp_path / "a.npy", ns=(0, 0))
    if mapped:
        with pytest.raises(ValueError, match=r"a\.npy was changed while it was in use"):
            opened.unchanged()
    else:
        assert not opened.unchanged()
