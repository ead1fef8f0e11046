"""The pages of docs/ as the site's generator reads them: links that leave docs/ lead to copies inside the site.

On GitHub a page links to a program, to CHANGELOG.md or to another package's README by its place in the repository. The
site holds docs/ alone, so such a file becomes a page below project/ there. Nothing has to be written twice, and a link
that leads nowhere stops the build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

DOCS = "docs/"
LANGUAGES = {
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".toml": "toml",
    ".json": "json",
    ".txt": "text",
    "": "make",
}
_FENCE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?P<code>(?P<ticks>`+)[^`]+(?P=ticks))|(?P<before>\]\(|(?:src|srcset|href)=\")(?P<link>[^)\s\"]+)")
_CODE_OR_LINK = re.compile(
    r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\](?:\([^)]*\)|\[[^\]]*\]))|(<a .*?</a>)|(?<!`)`([^`\n]+)`(?!`)", re.DOTALL
)
_HEADING = re.compile(r"^#+ .*$", re.MULTILINE)


@dataclass
class Pages:
    """The pages of the site, by their place in it.

    Attributes:
        root: The repository.
        written: Text of each page; a page that a script wrote is there before docs/ is read.
        problems: What is wrong with links, a sentence for each.
    """

    root: Path
    written: dict[str, str]
    problems: list[str] = field(default_factory=list)

    def read(self, also: list[str]) -> None:
        """Reads docs/, the other files that are given, and all that they link to.

        Args:
            also: Files of the repository that become pages though no page has to link to them.
        """
        waiting = [path.relative_to(self.root).as_posix() for path in sorted((self.root / DOCS).rglob("*.md"))]
        waiting += also
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            for found in self._read_page(source):
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)

    def _read_page(self, source: str) -> list[str]:
        target = place_in_site(source)
        text = (self.root / source).read_text(encoding="utf-8")
        if not source.endswith(".md"):
            language = LANGUAGES.get(Path(source).suffix, "text")
            self.written[target] = f"# {source}\n\n````{language}\n{text}\n````\n"
            return []
        leaves: list[str] = []

        def moved(match: re.Match[str]) -> str:
            before, link = match["before"], match["link"] or ""
            path, mark, anchor = link.partition("#")
            if not path or re.match(r"[a-z]+:", path):  # code, a place on the page itself, another site
                return match[0]
            linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
            if linked.startswith(DOCS) and linked.removeprefix(DOCS) in self.written:
                return before + _between(target, linked.removeprefix(DOCS)) + mark + anchor
            if (self.root / linked).is_dir() and (self.root / linked / "README.md").is_file():
                linked = f"{linked}/README.md"
            if linked.startswith("..") or not (self.root / linked).is_file():
                self.problems.append(f"{source} links to {link}, and {linked} is no file of the repository.")
                return match[0]
            if not linked.startswith(DOCS):
                leaves.append(linked)
            return before + _between(target, place_in_site(linked)) + mark + anchor

        self.written[target] = outside_fences(text, lambda prose: _LINK.sub(moved, prose))
        return leaves

    def link_code(self, targets: Mapping[str, str]) -> None:
        """Makes inline code that names something of the reference a link to it, once in each section.

        Args:
            targets: Text of the code, to a place in the site.
        """
        for place, text in self.written.items():
            if place.endswith(".md") and not place.startswith("reference/"):
                self.written[place] = outside_fences(text, partial(_linked, place=place, targets=targets))


def place_in_site(source: str) -> str:
    """Where a file of the repository stands in the site.

    Example:
        >>> place_in_site("docs/how-to/cache.md"), place_in_site("CHANGELOG.md"), place_in_site("examples/one.py")
        ('how-to/cache.md', 'project/CHANGELOG.md', 'project/examples/one.py.md')
    """
    if source.startswith(DOCS):
        return source.removeprefix(DOCS)
    if source == "README.md":
        return "index.md"
    return f"project/{source}" + ("" if source.endswith(".md") else ".md")


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Changes a page's text outside its code blocks, which begin and end with a line of ``` or ~~~."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _between(source: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(source) or ".")


def _linked(prose: str, place: str, targets: Mapping[str, str]) -> str:
    parts, end = [], 0
    for heading in _HEADING.finditer(prose):
        parts += [_linked_section(prose[end : heading.start()], place, targets), heading[0]]
        end = heading.end()
    return "".join([*parts, _linked_section(prose[end:], place, targets)])


def _linked_section(prose: str, place: str, targets: Mapping[str, str]) -> str:
    linked: set[str] = set()

    def link(match: re.Match[str]) -> str:
        code = match[3]
        target = targets.get(code.partition("(")[0]) if code else None
        if target is None or target in linked or target.partition("#")[0] == place:
            return match[0]
        linked.add(target)
        return f"[`{code}`]({_between(place, target)})"

    return _CODE_OR_LINK.sub(link, prose)
