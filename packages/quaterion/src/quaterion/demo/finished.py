"""Whether a folder holds the finished model of these settings and this data, so that training again changes nothing."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from quaterion.demo.corpus import Entry

__all__ = ["is_finished", "write_finished"]

RECORD = "finished.json"


def write_finished(out: Path, entries: Sequence[Entry], settings: Mapping[str, object]) -> None:
    """Records what the model in `out / "model"` was trained with.

    Args:
        out: The demo's folder.
        entries: All entries.
        settings: What else training depends on; JSON values.
    """
    (out / RECORD).write_text(json.dumps(_record(out, entries, settings), indent=2) + "\n", encoding="utf-8")


def is_finished(out: Path, entries: Sequence[Entry], settings: Mapping[str, object]) -> bool:
    """Tells whether the model in `out / "model"` is whole and came from these entries and settings.

    Args:
        out: The demo's folder.
        entries: All entries.
        settings: What else training depends on; JSON values.

    Returns:
        Whether training may be left out.
    """
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == _record(out, entries, settings))


def _record(out: Path, entries: Sequence[Entry], settings: Mapping[str, object]) -> dict[str, object]:
    texts = json.dumps([[entry.text, entry.description] for entry in entries])
    return {
        "settings": dict(settings),
        "entries": hashlib.sha256(texts.encode()).hexdigest(),
        "model": _folder_digest(out / "model"),
    }


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
