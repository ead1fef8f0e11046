"""The guide to extreme classification: its program runs on some of the data, its page shows what it has measured."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "examples" / "extreme_classification.py"
PAGE = ROOT / "docs" / "guides" / "extreme-classification.md"
FIGURES = ROOT / "docs" / "guides" / "results" / "extreme_classification.json"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_block_of_the_page_stands_in_the_program() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 3
    text = EXAMPLE.read_text(encoding="utf-8")
    for block in blocks:
        assert block in text, block


def test_the_pages_table_is_that_of_the_measured_figures(program: ModuleType) -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert len({row["seed"] for row in figures["rows"]}) >= 3
    assert program.table(figures, 5) in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_added_classes_are_told_apart_and_nothing_is_forgotten(
    program: ModuleType, datasets_folder: Path, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--intents", "8", "--new", "3", "--per-intent", "12", "--shots", "4", "--seeds", "1", "--epochs", "8"]
    folders = ["--data-dir", str(datasets_folder / "banking77"), "--encoder", str(minilm_folder)]
    program.main([*few, *folders, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures, 4) in capsys.readouterr().out
    assert [row["method"] for row in figures["rows"]] == list(program.METHODS)
    for row in figures["rows"]:
        # 36 test questions of new classes and 60 of old ones: accuracy on all is the mean, weighted by that.
        assert row["all"] == pytest.approx((36 * row["new"] + 60 * row["old"]) / 96)
        assert row["new"] > 0.6 and row["old"] > 0.6  # 1/8 by chance
