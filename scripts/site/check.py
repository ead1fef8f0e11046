"""What is looked at in the built site: every link leads somewhere, and nothing comes from another host."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {"link": "href", "script": "src", "img": "src", "source": "srcset", "iframe": "src", "video": "src"}
_IN_STYLES = re.compile(r"url\(\s*['\"]?(https?:)?//|@import\s+['\"]?https?:")


class _Page(HTMLParser):
    """The places of a page that can be linked to, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.drawings = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        self.drawings += "mermaid" in (values.get("class") or "").split()
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        loaded = values.get(_LOADS.get(tag, ""))
        if loaded and values.get("rel") != "canonical":
            self.loads.append(loaded)


def exported(sources: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """What the packages export, read on its own way, so that what the reference overlooks is found.

    Args:
        sources: The folders in which the packages lie.

    Yields:
        A package, and a name of its `__all__`.
    """
    for folder in sources:
        for path in sorted(folder.rglob("__init__.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    package = ".".join(path.parent.relative_to(folder).parts)
                    yield from ((package, name) for name in ast.literal_eval(node.value) if name != "__version__")


def problems(site: Path, names: Iterable[tuple[str, str]]) -> list[str]:
    """Looks at the built site.

    Args:
        site: Its folder.
        names: Packages with a name that each exports; it has to stand on the package's page, or be linked from there.

    Returns:
        A sentence for each problem.
    """
    pages = {
        path.relative_to(site).as_posix(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    found = []
    for place, page in sorted(pages.items()):
        found += [f"{place} loads {what}, from another host." for what in page.loads if urlsplit(what).netloc]
        if page.drawings:
            found.append(f"{place} has a Mermaid drawing, whose program comes from another host: draw it as SVG.")
        if place == "404.html":  # its links are absolute
            continue
        for link in [*page.links, *page.loads]:
            found += _wrong(site, pages, place, link)
    for path in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        if _IN_STYLES.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)} loads something from another host.")
    for package, name in names:
        reference = pages.get(f"reference/{package}.html")
        linked = reference is not None and any(link.endswith(f".{name}") for link in reference.links)
        if reference is None or not (f"{package}.{name}" in reference.ids or linked):
            found.append(f"{package}.{name} is public and does not stand on the package's page of the reference.")
    return found


def _wrong(site: Path, pages: dict[str, _Page], place: str, link: str) -> list[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return []
    target = posixpath.normpath(posixpath.join(posixpath.dirname(place), unquote(parts.path))) if parts.path else place
    if not (site / target).exists():
        return [f"{place} links to {link}, which is not there."]
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return [f"{place} links to {link}, and {target} has no such place."]
    return []
