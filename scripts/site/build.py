"""Builds the documentation's site into site/: `make docs`, or `make docs ARGS=--serve` to read it while it is written.

The pages of docs/ and the reference, which is written from the sources, are put into build/site/, where Zensical makes
HTML of them. A warning is an error, and what Zensical does not look at is looked at afterwards: see check.py.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

import check
import commands
import reference
from navigation import navigation
from pages import Pages

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "packages" / name / "src" for name in ("quaterion", "quaterion-models", "quaterion-runtime")]
ALSO = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"]
STAGE, SITE = ROOT / "build" / "site", ROOT / "site"
OVERVIEW = "<!-- modules -->"
SECOND = 1.0


def main() -> int:
    """Builds the site, or shows it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="show the site, and build it again when a page changes")
    parser.add_argument("--port", type=int, default=8000, help="where to show it (8000)")
    arguments = parser.parse_args()
    sys.path[:0] = map(str, SOURCES)
    if arguments.serve:
        return serve(arguments.port)
    return build()


def build() -> int:
    """Builds the site; the number of problems, which were printed."""
    modules = reference.read_modules(SOURCES)
    problems = stage(modules)
    if not problems:
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(STAGE / "mkdocs.yml")]
        done = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.PIPE, encoding="utf-8")
        if done.returncode or "griffe: " in done.stderr:  # of docstrings it only tells
            print(done.stderr, file=sys.stderr)
            return 1
        shutil.rmtree(SITE, ignore_errors=True)
        shutil.move(STAGE / "html", SITE)
        problems = check.problems(SITE, check.exported(SOURCES))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{SITE}: {len(problems)} problems." if problems else f"{SITE}/index.html")
    return min(len(problems), 1)


def stage(modules: list[reference.PublicModule]) -> list[str]:
    """Writes what Zensical reads.

    Args:
        modules: What is public.

    Returns:
        What is wrong with the pages.
    """
    pages = Pages(ROOT, {commands.PAGE: commands.commands_page()})
    pages.written |= {one.page: reference.module_page(one) for one in modules}
    pages.read(ALSO)
    pages.written["reference/index.md"] = pages.written["reference/index.md"].replace(
        OVERVIEW, reference.overview(modules)
    )
    pages.link_code(reference.link_targets(modules) | commands.link_targets())
    shutil.rmtree(STAGE, ignore_errors=True)
    folder = STAGE / "docs"
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.md"))
    for place, text in pages.written.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings["nav"], unplaced = navigation(settings["nav"], list(pages.written))
    settings |= {"docs_dir": "docs", "site_dir": "html"}
    (STAGE / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return [*pages.problems, *(f"docs/{place} has no place in the navigation of mkdocs.yml." for place in unplaced)]


def serve(port: int) -> int:
    """Shows the site until Ctrl-C, built again whenever a page, a picture or a source has changed."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        import threading

        threading.Thread(target=server.serve_forever, daemon=True).start()
        built = None
        try:
            while True:
                if (state := _state()) != built:
                    built = state
                    build()
                    print(f"http://127.0.0.1:{port}/index.html (Ctrl-C ends)", flush=True)
                time.sleep(SECOND)
        except KeyboardInterrupt:
            return 0


def _state() -> float:
    folders = [ROOT / "docs", ROOT / "examples", *SOURCES]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".md", ".py", ".svg", ".css"}]
    return max(path.stat().st_mtime for path in [*files, ROOT / "mkdocs.yml", *(ROOT / name for name in ALSO)])


if __name__ == "__main__":
    sys.exit(main())
