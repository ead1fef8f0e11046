"""Arrays in files: mapped into memory without unpickling, digested, and watched while they are used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_models.file_digest import file_digest


def mapped_array(path: Path) -> NDArray[Any]:
    """Maps a `.npy` file into memory, and nothing that is a pickle or not all there.

    Args:
        path: The file.

    Returns:
        The array, read only.

    Raises:
        ValueError: If it is no whole `.npy` file of numbers.
        OSError: If it cannot be opened.
    """
    path.open("rb").close()  # an ordinary error where it cannot be opened
    try:
        # Refuses Python objects (pickles), and a size that the file does not have.
        with np.errstate(over="raise"):
            return np.lib.format.open_memmap(os.fspath(path), mode="r")
    except Exception as error:  # numpy's reader of headers raises whatever Python's tokenizer does
        raise ValueError(
            f"{path} is no whole .npy file of numbers: {error!s:.200}. Write it with numpy.save(path, array)"
        ) from error


def array_digest(array: NDArray[Any]) -> str:
    """Computes the digest of the file that `numpy.save` would write.

    Args:
        array: The array.

    Returns:
        32 hexadecimal digits, those of `quaterion_models.file_digest.file_digest`.
    """
    file = _Hashing()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.hasher.hexdigest()


class OpenedFiles:
    """Files that were read, or are mapped into memory, while their content is used.

    Args:
        files: The files.
        mapped: Whether they are mapped, so that changing one in place changes the content.
    """

    def __init__(self, files: Sequence[Path], *, mapped: bool) -> None:
        self._mapped = mapped
        self._stamps = {file: _stamp(file) for file in files}

    def unchanged(self) -> bool:
        """Tells whether the files still are what was opened.

        Returns:
            False where one is gone or another has taken its place; what was opened is whole nevertheless.

        Raises:
            ValueError: If a mapped file has been changed in place.
        """
        for file, stamp in self._stamps.items():
            now = _stamp(file) if file.exists() else None
            if self._mapped and now is not None and now[0] == stamp[0] and now != stamp:
                raise ValueError(f"{file} was changed while it was in use. Build the encoder again")
            if now != stamp:
                return False
        return True

    def check_same(self) -> None:
        """Checks that the files can be opened again.

        Raises:
            ValueError: If one is gone, was changed, or another has taken its place.
        """
        if not self.unchanged():
            raise ValueError(
                f"{', '.join(map(str, self._stamps))} changed since it was opened. Build the encoder again"
            )

    def digests(self, content: Sequence[NDArray[Any]]) -> list[str]:
        """Digests the files, or the content itself where they are no longer those that were opened.

        Args:
            content: Arrays.

        Returns:
            The files' digests, or those of the arrays. Both are the same for files that hold one of the arrays each.

        Raises:
            ValueError: If a mapped file has been changed in place.
        """
        if self._stamps and self.unchanged():
            return [file_digest(file) for file in self._stamps]
        return [array_digest(array) for array in content]


def _stamp(file: Path) -> tuple[int, int, int]:
    about = file.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


class _Hashing:
    """A file to write to, of which only the digest is kept."""

    def __init__(self) -> None:
        self.hasher = blake2b(digest_size=16)

    def write(self, data: bytes) -> None:
        self.hasher.update(data)
