"""A matcher within the folder of its model: `matcher.json`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from quaterion_models.predict.matcher_calibration import MatcherCalibration
from quaterion_models.predict.model_files import load_own_model, model_digest, model_folder, number, read_description
from quaterion_models.saving.files import FORMAT_VERSION, MATCHER, ModelFolderError, field, sync_folder, write_json
from quaterion_models.saving.new_folder import find_folder

if TYPE_CHECKING:
    from quaterion_models.model import SimilarityModel
    from quaterion_models.predict.matcher import Matcher

_M = TypeVar("_M", bound="Matcher")


def has_matcher(path: str | os.PathLike[str]) -> bool:
    """Tells whether a model's folder has a matcher in it.

    Args:
        path: The folder.
    """
    return (find_folder(Path(path)) / MATCHER).is_file()


def save_matcher(matcher: Matcher, path: Path) -> None:
    """Writes a matcher in one step; see `Matcher.save`.

    Args:
        matcher: The matcher.
        path: The folder of its model.

    Raises:
        ModelFolderError: If it is no model's folder.
    """
    root = model_folder(path)
    calibration = matcher.calibration
    content = {
        "format_version": FORMAT_VERSION,
        "model": model_digest(root),
        "threshold": matcher.threshold,
        "calibration": None if calibration is None else calibration._asdict(),
    }
    fresh = root / f".{MATCHER}.{os.getpid()}-{secrets.token_hex(4)}.new"
    try:
        write_json(fresh, content)
        sync_folder(fresh)
        fresh.replace(root / MATCHER)  # a link that is there is replaced, not followed
    finally:
        fresh.unlink(missing_ok=True)


def load_matcher(cls: type[_M], path: Path, *, model: SimilarityModel | None, device: str | torch.device) -> _M:
    """Reads a matcher; see `Matcher.load`.

    Args:
        cls: The class.
        path: The folder of its model.
        model: The model, where it is loaded already.
        device: Where to put a model that is not.

    Returns:
        The matcher.

    Raises:
        ModelFolderError: If a file is missing, damaged or hostile, of a newer format, or belongs to another model.
    """
    root = model_folder(path)
    content = read_description(root, root / MATCHER, "matcher")
    threshold = number(content, "threshold", root / MATCHER)
    calibration = _calibration(content.get("calibration"), root / MATCHER)
    return cls(load_own_model(root, model, device), threshold, calibration=calibration)


def _calibration(content: Any, file: Path) -> MatcherCalibration | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise ModelFolderError(f"{file}: 'calibration' must be a dict or null, it is {content!r:.200}")
    return MatcherCalibration(
        threshold=number(content, "threshold", file),
        precision=number(content, "precision", file),
        recall=number(content, "recall", file),
        f1=number(content, "f1", file),
        pairs=field(content, "pairs", int, file),
    )
