"""The navigation of mkdocs.yml with its patterns filled in by the pages that there are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any


def navigation(wanted: list[Any], places: list[str]) -> tuple[list[Any], list[str]]:
    """Fills in a navigation.

    A pattern such as `how-to/*.md` stands for the pages that no other entry names, by their places. A page that is
    named and not there is left out, so that pages can be named before they are written; a section without a page too.

    Args:
        wanted: Entries: a place, a pattern, or a title with a place or with entries.
        places: Where the pages stand.

    Returns:
        The entries, and the pages that none of them is about; those below project/ need no entry.

    Example:
        >>> pages = ["index.md", "how-to/b.md", "how-to/a.md", "how-to/first.md", "lost.md"]
        >>> navigation(["index.md", {"How-to": ["how-to/first.md", "how-to/*.md"]}, {"No": ["none.md"]}], pages)
        (['index.md', {'How-to': ['how-to/first.md', 'how-to/a.md', 'how-to/b.md']}], ['lost.md'])
    """
    named = set(_places(wanted))
    left = sorted((place for place in places if place not in named), key=lambda place: place.removesuffix(".md"))
    filled = _filled(wanted, set(places), left)
    used = set(_places(filled))
    return filled, sorted(place for place in places if place not in used and not place.startswith("project/"))


def _filled(entries: list[Any], places: set[str], left: list[str]) -> list[Any]:
    filled: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            filled += (
                [place for place in left if fnmatchcase(place, entry)] if "*" in entry else [entry] * (entry in places)
            )
            continue
        ((title, content),) = entry.items()
        if isinstance(content, str):
            filled += [entry] * (content in places)
        elif below := _filled(content, places, left):
            filled.append({title: below})
    return filled


def _places(entries: list[Any]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        content = entry if isinstance(entry, str) else next(iter(entry.values()))
        found += [content] if isinstance(content, str) else _places(content)
    return found
