"""The code blocks of the pages: README.md of the repository and of each package, and everything below docs/."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[4]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md")), *sorted(ROOT.glob("docs/**/*.md")))
]
RUN = {"python", "bash"}
SHOWN = {"text", "json", "toml", "yaml", "csv", "html", "diff"}
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?(?P<indent> *)```(?P<kind>\S*)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A code block of a page; with a reason why it is not run, or an empty one."""

    page: str
    line: int
    kind: str
    code: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str | None = None) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    found = []
    for match in _BLOCK.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(page, line, match["kind"], code, match["reason"] or ""))
    return found


def commands_in(code: str) -> list[str]:
    """The commands of a bash block: a line each, continued after a backslash."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def is_excerpt(block: Block) -> bool:
    """Whether a block is a part of a program in examples/ that the page names, and that is run by its own test."""
    text = (ROOT / block.page).read_text(encoding="utf-8")
    programs = [ROOT / name for name in set(re.findall(r"examples/\w+\.py", text))]
    return any(path.is_file() and block.code in path.read_text(encoding="utf-8") for path in programs)
