"""Each guide's page shows pieces of its program, and what that has measured."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[4]
BLOCKS = {
    "anomaly_detection": 3,
    "extreme_classification": 3,
    "matching": 3,
    "recommendations": 5,
    "semantic_search": 5,
}
SHOTS = {"extreme_classification": [5]}  # its table is about a number of examples


def page_of(name: str) -> str:
    return (ROOT / "docs" / "guides" / f"{name.replace('_', '-')}.md").read_text(encoding="utf-8")


def test_there_is_a_guide_for_each_page() -> None:
    pages = {path.stem.replace("-", "_") for path in (ROOT / "docs" / "guides").glob("*.md")}
    assert pages - {"index"} == set(BLOCKS)


@pytest.mark.parametrize(("name", "at_least"), BLOCKS.items())
def test_every_block_of_the_page_stands_in_the_program(name: str, at_least: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page_of(name), flags=re.DOTALL)
    assert len(blocks) >= at_least
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    for block in blocks:
        assert block in text, block


@pytest.mark.parametrize("name", BLOCKS)
def test_the_pages_table_is_that_of_the_measured_figures(name: str, load_example: Callable[[str], ModuleType]) -> None:
    figures = json.loads((ROOT / "docs" / "guides" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    assert len({row["seed"] for row in figures["rows"]}) >= 3
    assert load_example(name).table(figures, *SHOTS.get(name, [])) in page_of(name)
