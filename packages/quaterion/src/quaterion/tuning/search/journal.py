"""What was tried already, on disk: a search that was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quaterion.tuning.search.scoring import Score
from quaterion.tuning.training.recipe import Recipe

__all__ = ["Journal"]


class Journal:
    """Scores of trainings by what they are of, in a file of JSON lines; a line that a crash cut off is left out.

    Args:
        path: The file; None keeps nothing.
        about: What scores depend on beside the recipe: digests of data and encoders.
    """

    def __init__(self, path: Path | None, about: str) -> None:
        self._path, self._about = path, about
        self._known: dict[str, dict[str, Any]] = {}
        self._line_end = ""
        if path is not None and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            self._line_end = "\n" if text and not text.endswith("\n") else ""  # ends a line that a crash cut off
            for line in text.splitlines():
                entry = _entry(line)
                if entry is not None:
                    self._known[entry["key"]] = entry

    def find(self, recipe: Recipe, fold: int) -> tuple[Score, float] | None:
        """Looks up a score.

        Args:
            recipe: The recipe, with the epochs that it was trained for.
            fold: Number of the fold.

        Returns:
            The score, and the seconds that it took; None where it is not known.
        """
        entry = self._known.get(self._key(recipe, fold))
        return None if entry is None else (_score(entry["score"]), entry["seconds"])

    def add(self, recipe: Recipe, fold: int, score: Score, seconds: float) -> None:
        """Writes down a score.

        Args:
            recipe: The recipe, with the epochs that it was trained for.
            fold: Number of the fold.
            score: The score.
            seconds: What it took.
        """
        if self._path is None:
            return
        entry = {"key": self._key(recipe, fold), "recipe": recipe.to_dict(), "fold": fold, "seconds": round(seconds, 3)}
        line = json.dumps({**entry, "score": _plain(score)}) + "\n"
        # One line in one write: it is there whole, or recognised as cut off.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(self._line_end + line)
        self._line_end = ""

    def _key(self, recipe: Recipe, fold: int) -> str:
        # Another version may train or score in another way.
        content = json.dumps([version("quaterion"), self._about, recipe.to_dict(), fold], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        _score(entry["score"])
        float(entry["seconds"])
    except (ValueError, KeyError, TypeError):
        return None
    return entry if isinstance(entry.get("key"), str) else None


def _plain(score: Score) -> dict[str, Any]:
    vectors = {"per_query": score.per_query, "likelihood": score.likelihood}
    plain: dict[str, Any] = {name: _numbers(vector) for name, vector in vectors.items() if vector is not None}
    if score.scored is not None:
        plain["scored"] = [_numbers(vector) for vector in score.scored]
    return {"value": score.value, **plain}


def _numbers(vector: Tensor) -> list[float]:
    return [float(f"{number:.6g}") for number in vector.tolist()]


def _score(plain: Mapping[str, Any]) -> Score:
    def vector(name: str) -> Tensor | None:
        return torch.tensor(plain[name], dtype=torch.float64) if name in plain else None

    scored = plain.get("scored")
    pair = None if scored is None else (torch.tensor(scored[0]), torch.tensor(scored[1]))
    return Score(float(plain["value"]), vector("per_query"), vector("likelihood"), pair)
