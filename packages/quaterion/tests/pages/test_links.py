"""Links of the Markdown in the repository lead to its files, as they have to on GitHub."""

import posixpath
import re

import pytest

from page_blocks import PAGES, ROOT

OTHERS = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md"]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_relative_links_lead_to_files(page):
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?:src|srcset|href)=\"([^\"]+)", text)
    for link in links:
        path = link.partition("#")[0]
        if path and not re.match("[a-z]+:", path):
            target = posixpath.join(posixpath.dirname(page), path)
            assert (ROOT / target).exists(), (
                f"{page} links to {link}, which is not there. Pages of the reference are written when the site is "
                "built: name the class or the command as `code`, which the site links by itself."
            )
