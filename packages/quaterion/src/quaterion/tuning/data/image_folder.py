"""Folders of images, whose classes are the folders that the images lie in."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quaterion.dataset.similarity_samples import SimilarityGroupSample
from quaterion.tuning.data.split_column import SPLIT_NAMES
from quaterion.utils.counted import counted

__all__ = ["ImageFolders"]

SUFFIXES = {
    *{
        ".apng",
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".ico",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pcx",
    },
    *{".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"},
}
"""Suffixes of images that Pillow reads without further packages."""


@dataclass
class ImageFolders:
    """Reads folders of images, and knows equal images again, whatever their names.

    The class of an image is the path of its folder below the root, such as `"Greek/character01"`. Objects are paths, as
    text. A file that is equal to an earlier one has that one's path as its object: one image is one object.

    Example:
        >>> samples, notes = ImageFolders().read(Path("animals"))  # doctest: +SKIP
        >>> samples[0]  # doctest: +SKIP
        SimilarityGroupSample(obj='animals/cat/1.png', group='cat')
    """

    _paths: dict[bytes, str] = field(default_factory=dict)

    def read(self, root: Path) -> tuple[list[SimilarityGroupSample], list[str]]:
        """Reads a folder. Hidden files and folders are passed over, and links to folders are not followed.

        Args:
            root: The folder of the classes' folders.

        Returns:
            Samples in the order of their paths, and notes: how many there are, and what was left out.

        Raises:
            ValueError: There are no images, images outside of any class's folder, or fewer than two classes; or the
                classes seem to be splits.
            OSError: A file cannot be read.
        """
        samples: list[SimilarityGroupSample] = []
        seen: dict[bytes, set[str]] = {}
        others: Counter[str] = Counter()
        repeated: list[str] = []
        conflicts = 0
        for path in _files(root):
            if path.suffix.lower() not in SUFFIXES:
                others[path.suffix.lower() or "no suffix"] += 1
                continue
            if path.parent == root:
                raise ValueError(
                    f"The image {path.name} lies in {root} itself, so it has no class. Expected a folder for each "
                    f"class, such as {Path(root.name) / 'cat' / path.name}: move it, or leave it out."
                )
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").digest()
            obj, group = self._paths.setdefault(content, str(path)), path.parent.relative_to(root).as_posix()
            classes = seen.setdefault(content, set())
            if group in classes:
                repeated.append(path.relative_to(root).as_posix())
                continue
            conflicts += bool(classes)
            classes.add(group)
            samples.append(SimilarityGroupSample(obj, group))
        _check(root, samples, others)
        return samples, _notes(root, samples, others, repeated, conflicts)


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root, onerror=_raise):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def _check(root: Path, samples: list[SimilarityGroupSample], others: Counter[str]) -> None:
    if not samples:
        there = f"; it holds {_listed(others)}" if others else ""
        raise ValueError(f"There is no image in {root}{there}. Expected a folder for each class with images in it.")
    classes = sorted({str(sample.group) for sample in samples})
    tops = sorted({one.split("/")[0] for one in classes})
    if all(one.lower() in SPLIT_NAMES for one in tops):
        first = next((one for one in tops if SPLIT_NAMES[one.lower()] == "train"), tops[0])
        others_named = ", ".join(f"{SPLIT_NAMES[one.lower()]}={str(root / one)!r}" for one in tops if one != first)
        raise ValueError(
            f"The folders in {root} are named like splits, not like classes: {', '.join(tops)}. Give each by itself: "
            f"the data {str(root / first)!r}{', ' * bool(others_named)}{others_named}."
        )
    if len(classes) < 2:
        raise ValueError(
            f"All images in {root} are in one class, {classes[0]!r}. Expected a folder for each of two classes or more."
        )


def _notes(
    root: Path, samples: list[SimilarityGroupSample], others: Counter[str], repeated: list[str], conflicts: int
) -> list[str]:
    classes = len({sample.group for sample in samples})
    notes = [f"{len(samples):,} images of {classes:,} classes in {root.name}."]
    if others:
        notes.append(f"Passed over {_listed(others)}.")
    if repeated:
        shown = ", ".join(repeated[:3]) + (f" and {len(repeated) - 3:,} more" if len(repeated) > 3 else "")
        notes.append(f"Left out {counted(len(repeated), 'image')} equal to another of the same class: {shown}.")
    if conflicts:
        notes.append(f"Kept {counted(conflicts, 'image')} equal to one of another class.")
    return notes


def _listed(others: Counter[str]) -> str:
    suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(5))
    kind = "that is no image" if others.total() == 1 else "that are no images"
    return f"{counted(others.total(), 'file')} {kind} ({suffixes})"
