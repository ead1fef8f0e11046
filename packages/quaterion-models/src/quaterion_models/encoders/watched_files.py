"""The files of a model, watched: weights that are read later have to be those that were there before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from quaterion_models.encoders.pretrained_files import check_there, digests, samples

_T = TypeVar("_T")


class WatchedFiles:
    """What the files of a model were when it was found, loaded and digested.

    Args:
        folder: The model's folder.
        list_files: Lists the files in it that its vectors depend on.

    Attributes:
        loaded: Digests of the files that the weights were read from; None where they were not.
    """

    def __init__(self, folder: Path, list_files: Callable[[Path], list[Path]]) -> None:
        self.folder = folder
        self.loaded: list[tuple[str, str]] | None = None
        self._list_files = list_files
        self._found = samples(folder, list_files(folder))  # as far as a look at them tells
        self._digested: list[tuple[str, str]] | None = None

    def digest(self) -> list[tuple[str, str]]:
        """Digests the files, which from now on have to stay as they are.

        Returns:
            Relative path and digest of each file.

        Raises:
            ValueError: If the folder is no longer there.
        """
        self._digested = self._now()
        return self._digested

    def reading(self, read: Callable[[], _T]) -> _T:
        """Reads the weights.

        Args:
            read: Reads them.

        Returns:
            What it returned.

        Raises:
            ValueError: If the files are others than before, or change meanwhile.
        """
        files = self._now()
        if self._digested is None:
            self._check(samples(self.folder, self._list_files(self.folder)) == self._found)
        weights = read()
        self._check(self._now() == files and self._digested in (None, files))
        self.loaded = files
        return weights

    def _now(self) -> list[tuple[str, str]]:
        check_there(self.folder)
        return digests(self.folder, self._list_files(self.folder))

    def _check(self, unchanged: bool) -> None:
        since = "the encoder was built" if self._digested is None else "the encoder's fingerprint was taken"
        if not unchanged:
            raise ValueError(
                f"the files in {self.folder} have changed since {since}, so the weights would be those of another "
                "model than its head and its cached vectors belong to. Build the encoder again, or call its "
                "fingerprint() to go on with these files"
            )
