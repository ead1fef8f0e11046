"""The version that all distributions have: shows it, sets it everywhere, or checks it before a release.

    python scripts/version.py               # prints it; fails where two places disagree
    python scripts/version.py --to 1.1.0    # writes it to every place
    python scripts/version.py --tag v1.1.0  # fails unless everything is ready for this tag

Each distribution is built from its own folder alone, so each states the version in its `__init__.py`, where its
pyproject.toml looks it up; distributions that need each other name it once more, and so does the citation.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"

# Files, and what of a line of theirs is a version.
PLACES = {
    "packages/*/src/*/__init__.py": rf'(?<=^__version__ = "){VERSION}(?="$)',
    "packages/quaterion-models/pyproject.toml": rf'(?<="quaterion-runtime==){VERSION}(?=")',
    "packages/quaterion/pyproject.toml": rf'(?<="quaterion-models==){VERSION}(?=")|(?<=\]==){VERSION}(?=")',
    "CITATION.cff": rf"(?<=^version: ){VERSION}$",
}


def found_versions(root: Path) -> dict[str, set[str]]:
    """Finds the versions that each file states.

    Args:
        root: Folder of the repository.

    Returns:
        Versions by path relative to `root`.

    Raises:
        ValueError: If a file states none where it should.
    """
    found = {}
    for path, pattern in _places(root):
        found[path.relative_to(root).as_posix()] = set(pattern.findall(path.read_text(encoding="utf-8")))
    silent = [path for path, versions in found.items() if not versions]
    if silent:
        raise ValueError(f"no version is stated in {', '.join(silent)}; scripts/version.py says where it should be")
    return found


def set_version(root: Path, version: str) -> None:
    """Writes a version to every place.

    Args:
        root: Folder of the repository.
        version: Such as `1.1.0` or `1.1.0rc1`.

    Raises:
        ValueError: If `version` is none, or a file states none where it should.
    """
    if re.fullmatch(VERSION, version) is None:
        raise ValueError(f"a version looks like 1.1.0 or 1.1.0rc1, got {version!r}")
    found_versions(root)  # nothing is written where a place is missing
    for path, pattern in _places(root):
        path.write_text(pattern.sub(version, path.read_text(encoding="utf-8")), encoding="utf-8")


def problems(root: Path, tag: str | None = None) -> list[str]:
    """Lists what is wrong with the versions, and with a tag where one is given.

    Args:
        root: Folder of the repository.
        tag: Of the commit that is to be released: `v` and the version.

    Returns:
        One sentence for each problem; none where all is well.
    """
    found = found_versions(root)
    versions = set.union(*found.values())
    if len(versions) > 1:
        return [f"{path} states {', '.join(sorted(stated))}" for path, stated in sorted(found.items())]
    (version,) = versions
    if tag is None:
        return []
    wrong = [] if tag == f"v{version}" else [f"the tag is {tag}, but the version is {version}"]
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, flags=re.MULTILINE):
        wrong.append(f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD'")
    return wrong


def _places(root: Path) -> Iterator[tuple[Path, re.Pattern[str]]]:
    for glob, pattern in PLACES.items():
        for path in sorted(root.glob(glob)):
            yield path, re.compile(pattern, re.MULTILINE)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="The version that all distributions have.")
    parser.add_argument("--to", metavar="VERSION", help="write it to every place")
    parser.add_argument("--tag", help="fail unless everything is ready for a release under this tag")
    arguments = parser.parse_args()
    try:
        if arguments.to:
            set_version(ROOT, arguments.to)
        wrong = problems(ROOT, arguments.tag)
    except ValueError as error:
        wrong = [str(error)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(*set.union(*found_versions(ROOT).values()))


if __name__ == "__main__":
    main()
