"""README.md of quaterion-runtime: an exported model."""

import shutil

import quaterion_runtime
from page_blocks import ROOT


def prepare(run):
    shutil.copytree(ROOT / "packages/quaterion-runtime/tests/golden/format_1/text", "support-onnx")


def check(run):
    assert run.names["queries"].shape == (1, 4) and run.printed[0].startswith("[[")
    text = (ROOT / run.page).read_text(encoding="utf-8")
    public = set(quaterion_runtime.__all__) - {"__version__"}
    assert [name for name in public if name not in text] == []
