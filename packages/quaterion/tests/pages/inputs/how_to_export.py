"""docs/how-to/export.md: a tiny model of texts, and data to tell what 8-bit numbers cost."""

import csv
from pathlib import Path

from page_blocks import ROOT
from quaterion_models import SimilarityModel

NEEDS = ["onnxscript", "quaterion_runtime", "sentence_transformers"]
MODEL = ROOT / "packages/quaterion-models/tests/golden/format_1/sentence_transformer/model"


def prepare(run):
    run.names["model"] = SimilarityModel.load(MODEL)
    run.names["model"].save("my-model")
    rows = [(f"word{number} word{number + 1} word{number % 2}", number % 2) for number in range(12)]
    with Path("test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "intent"), *rows])
    run.replace['export_onnx(model, "exported"'] = 'export_onnx(model, "exported-again"'  # a folder is not written over


def check(run):
    assert run.names["vectors"].shape == (2, run.names["model"].output_size)
    assert Path("tuned/modules.json").is_file() and float(run.printed[-1]) < 0.2
