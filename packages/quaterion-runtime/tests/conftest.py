"""Fixtures shared by the tests of quaterion_runtime, which run without torch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden" / "format_1"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "kitten", "sleeps", "query", "passage", ":"]
TABLE = np.sin(np.arange(len(WORDS) * 4, dtype=np.float32)).reshape(-1, 4)


@pytest.fixture
def golden() -> Path:
    """The folders of format 1, which stay as they are."""
    return GOLDEN


@pytest.fixture
def folder_copy(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a golden folder, to be damaged."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(GOLDEN / name, tmp_path / name))

    return copy


@pytest.fixture
def edit() -> Callable[..., None]:
    """Changes what runtime.json says: `edit(folder, "graphs", 0, "file", value)`."""

    def change(folder: Path, *path: Any) -> None:
        *parents, last, value = path
        content = json.loads((folder / "runtime.json").read_text())
        place = content
        for step in parents:
            place = place[step]
        place[last] = value
        (folder / "runtime.json").write_text(json.dumps(content))

    return change


@pytest.fixture
def mean_of() -> Callable[[str], np.ndarray]:
    """What the golden graphs compute: the mean of the vectors of [CLS], at most four words, and [SEP]."""

    def mean(text: str) -> np.ndarray:
        words = ["[CLS]", *text.lower().replace(":", " :").split()[:4], "[SEP]"]
        numbers = [WORDS.index(word) if word in WORDS else 1 for word in words]
        return TABLE[numbers].mean(axis=0)

    return mean
