"""What makes the documentation's site: links out of docs/, inline code as links, navigation, a check of the HTML."""

import sys

import pytest

from page_blocks import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "site"))
import check
import commands
import navigation
from pages import Pages


@pytest.fixture
def repository(tmp_path):
    files = {
        "docs/index.md": "# Home\n",
        "docs/how-to/cache.md": "[Home](../index.md#top), [program](../../examples/one.py), [news](../../NEWS.md)\n",
        "examples/one.py": "print(1)\n",
        "NEWS.md": "Read [the page](docs/how-to/cache.md) and [the program](examples/one.py).\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_links_out_of_docs_lead_to_copies_in_the_site(repository):
    pages = Pages(repository, {})
    pages.read([])
    assert pages.problems == []
    assert pages.written["how-to/cache.md"] == (
        "[Home](../index.md#top), [program](../project/examples/one.py.md), [news](../project/NEWS.md)\n"
    )
    assert (
        pages.written["project/NEWS.md"]
        == "Read [the page](../how-to/cache.md) and [the program](examples/one.py.md).\n"
    )
    assert pages.written["project/examples/one.py.md"] == "# examples/one.py\n\n````python\nprint(1)\n\n````\n"


def test_a_link_that_leads_nowhere_is_a_problem(repository):
    (repository / "docs/index.md").write_text("[one](none.md) [two](https://example.org) `[three](none.md)`\n")
    pages = Pages(repository, {})
    pages.read([])
    assert pages.problems == ["docs/index.md links to none.md, and docs/none.md is no file of the repository."]


def test_inline_code_becomes_a_link_once_in_a_section(repository):
    text = "# `Loss`\n\n`Loss()` and `Loss`, [`Loss`](x.md)\n\n```python\n`Loss`\n```\n\n## More\n\n`Loss` `loss`\n"
    pages = Pages(repository, {"how-to/cache.md": text, "reference/loss.md": "`Loss`"})
    pages.link_code({"Loss": "reference/loss.md#Loss"})
    link = "(../reference/loss.md#Loss)"
    assert pages.written["how-to/cache.md"] == (
        f"# `Loss`\n\n[`Loss()`]{link} and `Loss`, [`Loss`](x.md)\n\n```python\n`Loss`\n```\n\n"
        f"## More\n\n[`Loss`]{link} `loss`\n"
    )
    assert pages.written["reference/loss.md"] == "`Loss`"


def test_the_navigation_takes_the_pages_that_there_are():
    wanted = [
        "index.md",
        {"How-to": ["how-to/first.md", "how-to/*.md"]},
        {"Later": "later.md"},
        {"None": ["none/*.md"]},
    ]
    places = ["index.md", "how-to/b.md", "how-to/a.md", "how-to/first.md", "lost.md", "project/NEWS.md"]
    filled, unplaced = navigation.navigation(wanted, places)
    assert filled == ["index.md", {"How-to": ["how-to/first.md", "how-to/a.md", "how-to/b.md"]}]
    assert unplaced == ["lost.md"]


def test_the_check_finds_what_is_wrong_with_the_html(tmp_path):
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference/pkg.html").write_text('<h2 id="pkg.here">here</h2><a href="#pkg.other.there">there</a>')
    (tmp_path / "index.html").write_text(
        '<a href="reference/pkg.html#pkg.here">good</a><a href="gone.html">bad</a>'
        '<a href="reference/pkg.html#gone">bad</a>'
        '<a href="https://example.org">elsewhere</a><script src="https://cdn.example.org/x.js"></script>'
        '<img src="pictures/none.png"><pre class="mermaid"></pre>'
    )
    (tmp_path / "site.css").write_text("@import 'https://fonts.example.org/font.css';")
    assert check.problems(tmp_path, [("pkg", "here"), ("pkg", "there"), ("pkg", "lost")]) == [
        "index.html loads https://cdn.example.org/x.js, from another host.",
        "index.html has a Mermaid drawing, whose program comes from another host: draw it as SVG.",
        "index.html links to gone.html, which is not there.",
        "index.html links to reference/pkg.html#gone, and reference/pkg.html has no such place.",
        "index.html links to pictures/none.png, which is not there.",
        "reference/pkg.html links to #pkg.other.there, and reference/pkg.html has no such place.",
        "site.css loads something from another host.",
        "pkg.lost is public and does not stand on the package's page of the reference.",
    ]


def test_every_package_exports_what_its_all_says():
    names = set(check.exported([ROOT / "packages" / "quaterion-runtime" / "src"]))
    assert {("quaterion_runtime", "Model"), ("quaterion_runtime.inputs", "Prepared")} <= names


def test_the_page_of_the_commands_has_each_with_its_options():
    page = commands.commands_page()
    for command in ("quaterion demo", "quaterion cache prune", "quaterion-runtime serve"):
        assert f"### `{command}` {{ #{command.replace(' ', '-')} }}" in page
    assert "| `--older-than" in page and "| `--max-batch-tokens` `N` |" in page
    assert "Example:" not in page  # examples are shown as commands
