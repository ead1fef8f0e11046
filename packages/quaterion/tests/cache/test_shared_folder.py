"""Whether processes share a folder, and a temporary one for those that do."""

from multiprocessing import get_context

import pytest

from quaterion.cache.shared_folder import check_shared, shared_temporary_folder
from quaterion.utils.ranks import Ranks


def test_a_temporary_folder_is_gone_afterwards():
    with shared_temporary_folder(Ranks()) as folder:
        assert folder.is_dir()
    assert not folder.exists()


class Messages(Ranks):
    """Messages between two processes through queues."""

    def __init__(self, rank, sent, received):
        super().__init__(rank, 2)
        self._sent, self._received = sent, received

    def gather(self, value):
        self._sent.put(value)
        other = self._received.get(timeout=60)
        return [value, other] if self.rank == 0 else [other, value]


def second(folder, sent, received):
    try:
        check_shared(folder, Messages(1, sent, received))
    except ValueError as error:
        sent.put(str(error))
    else:
        sent.put("shared")


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False])
def test_processes_find_out_whether_they_share_a_folder(same, tmp_path):
    context = get_context("spawn")
    to_first, to_second = context.Queue(), context.Queue()
    theirs = tmp_path / "first" if same else tmp_path / "second"
    theirs.mkdir()
    process = context.Process(target=second, args=(theirs, to_first, to_second))
    process.start()
    first = Messages(0, to_second, to_first)
    if same:
        check_shared(tmp_path / "first", first)
        assert to_first.get(timeout=60) == "shared"
    else:
        with pytest.raises(ValueError, match=r"The processes \[1\] do not share the folder .*first"):
            check_shared(tmp_path / "first", first)
        assert "do not share" in to_first.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
