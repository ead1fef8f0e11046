"""docs/how-to/scale.md: its table is what the script prints."""

import sys

from page_blocks import ROOT
from page_runner import finished


def check(run):
    assert "450 texts a second" in run.answers[0]
    text = (ROOT / run.page).read_text(encoding="utf-8")
    table = text.partition("<!-- scale: begin -->\n")[2].partition("\n<!-- scale: end -->")[0]
    assert finished([sys.executable, str(ROOT / "benchmarks" / "scale.py")]).strip() == table
