"""What the demo's search page asks for: its files, facts about the run, and results. HTTP is `serve`'s business."""

import json
import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import parse_qs, quote, urlsplit

from torch import Tensor

from quaterion.demo.corpus import Entry
from quaterion.demo.run import DemoResult
from quaterion.demo.search import best_entries

__all__ = ["Reply", "SearchPage", "error_reply"]

LONGEST = 500  # characters of a query; descriptions have at most 400
EXAMPLES, LONGEST_EXAMPLE = 4, 80
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request.

    Args:
        status: HTTP status.
        content_type: What the body is.
        body: The body.
    """

    status: int
    content_type: str
    body: bytes


class SearchPage:
    """Answers the page's requests; threads may share it.

    Args:
        result: A finished run of the demo.
        questions: Example queries in plain words; held-out descriptions come after them.
    """

    def __init__(self, result: DemoResult, questions: Sequence[str]) -> None:
        self._result = result
        self._questions = list(questions)
        self._lock = threading.Lock()  # two encodings at once only slow each other down
        self._files = {
            address: Reply(200, content_type, (files("quaterion.demo") / "page" / name).read_bytes())
            for address, (name, content_type) in _FILES.items()
        }
        self._held_out: dict[str, list[int]] = {}
        for number in result.split.test:
            self._held_out.setdefault(result.entries[number].description, []).append(number)

    def reply(self, target: str) -> Reply:
        """Answers a GET request.

        Args:
            target: Path and query of its address.

        Returns:
            The answer; 400 for what is no address and for a query that is empty or too long, 404 for an unknown path.
        """
        try:
            parts = urlsplit(target)
        except ValueError as error:
            return error_reply(400, f"This is no address ({error}); the search page is at /.")
        if parts.path in self._files:
            return self._files[parts.path]
        if parts.path == "/facts":
            return _json(200, self._facts())
        if parts.path == "/search":
            query = " ".join(parse_qs(parts.query).get("q", [""])[0].split())
            if not query:
                return error_reply(400, "The query is empty: write what to search for after /search?q=.")
            if len(query) > LONGEST:
                return error_reply(400, f"The query has {len(query):,} characters; at most {LONGEST} are searched for.")
            return _json(200, self._search(query))
        return error_reply(404, "There is nothing at this address; the search page is at /.")

    def _facts(self) -> dict[str, object]:
        fitting = [description for description in self._held_out if len(description) <= LONGEST_EXAMPLE]
        # Evenly spread, not chosen by how well they are found.
        step = max(1, len(fitting) // EXAMPLES)
        return {
            "python": platform.python_version(),
            "entries": len(self._result.entries),
            "trained_on": len(self._result.split.train),
            "held_out": len(self._result.split.test),
            "mrr": [self._result.before["mrr"].value, self._result.after["mrr"].value],
            "longest": LONGEST,
            "questions": self._questions,
            "descriptions": fitting[::step][:EXAMPLES],
        }

    def _search(self, query: str) -> dict[str, object]:
        with self._lock:
            before, after = self._result.search.similarities([query])
        right = self._held_out.get(query, [])
        return {
            "query": query,
            "held_out": [self._result.entries[number].name for number in right],
            "before": self._side(before, right),
            "after": self._side(after, right),
        }

    def _side(self, similarities: Tensor, right: list[int]) -> dict[str, object]:
        row = similarities[0]  # [N]
        return {
            # Of equal descriptions, the entry that is found first counts.
            "rank": int((row > row[right].max()).sum()) + 1 if right else None,
            "results": [
                _shown(self._result.entries[number]) | {"score": round(row[number].item(), 4), "right": number in right}
                for number in best_entries(similarities)[0].tolist()
            ],
        }


def _shown(entry: Entry) -> dict[str, object]:
    owners = entry.name.split(".")[: -2 if entry.kind == "method" else -1]
    # The manual's own search: which page documents a name cannot be told from the name (asyncio.Queue: asyncio-queue).
    manual = f"https://docs.python.org/{'.'.join(platform.python_version_tuple()[:2])}/search.html"
    return {
        "name": entry.name,
        "kind": entry.kind,
        "module": ".".join(owners) or "built-in",
        "signature": entry.signature,
        "description": entry.description,
        "link": f"{manual}?q={quote(entry.name)}",
    }


def error_reply(status: int, message: str) -> Reply:
    """An error as the page reads it.

    Args:
        status: HTTP status.
        message: What is wrong, and what to do.

    Returns:
        `{"error": message}` as JSON.

    Example:
        >>> error_reply(404, "Not here.").body
        b'{"error": "Not here."}'
    """
    return _json(status, {"error": message})


def _json(status: int, content: dict[str, object]) -> Reply:
    return Reply(status, "application/json", json.dumps(content).encode())
