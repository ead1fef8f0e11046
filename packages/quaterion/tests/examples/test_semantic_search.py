"""The guide to semantic search: its program runs on some of the data, and its page shows what it has measured."""

import importlib.util
import json
import math
import re
from pathlib import Path
from types import ModuleType

import pytest

from quaterion_models import SimilarityModel
from quaterion_models.search import open_index

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "examples" / "semantic_search.py"
PAGE = ROOT / "docs" / "guides" / "semantic-search.md"
FIGURES = ROOT / "docs" / "guides" / "results" / "semantic_search.json"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_block_of_the_page_stands_in_the_program() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 5
    text = EXAMPLE.read_text(encoding="utf-8")
    for block in blocks:
        assert block in text, block


def test_the_pages_tables_are_those_of_the_measured_figures(program: ModuleType) -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert len({row["seed"] for row in figures["rows"]}) >= 3
    assert program.table(figures) in page
    for answer in figures["answers"]:
        for before, after in zip(answer["before"], answer["after"], strict=True):
            assert f"| `{before}` | `{after}` |" in page


def test_words_are_scored_by_bm25(program: ModuleType) -> None:
    documents = ["sort a list", "sort a list of lists", "open the file"]
    words = program.Words(documents, k1=1.2, b=0.75)
    scores = words.encode_query(["lists unknown"]) @ words.encode_document(documents).T
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))  # two of three documents have the word

    def weight(count: int, length: int) -> float:
        return rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / (11 / 3)))

    assert scores[0].tolist() == pytest.approx([weight(1, 3), weight(2, 5), 0.0])


def test_words_lose_their_endings_and_names_fall_into_words(program: ModuleType) -> None:
    assert program.stems("parseFiles(HTTPServer)") == ["pars", "fil", "http", "server"]
    assert set(program.stems("parsing a file")) & set(program.stems("parseFiles")) == {"pars", "fil"}


@pytest.mark.slow
def test_the_service_and_the_index_find_what_the_model_finds(
    program: ModuleType, minilm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("uvicorn")
    few = ["--every", "24", "--epochs", "10", "--encoder", str(minilm_folder)]
    program.main([*few, "--out", str(tmp_path), "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert program.table(figures) in capsys.readouterr().out
    assert figures["service"]["as the model"] == figures["service"]["questions"] > 20
    mrr = {row["method"]: row["mrr"] for row in figures["rows"]}
    assert list(mrr) == list(program.METHODS)
    assert mrr["head"] > mrr["words"] > 0.1
    index, model = open_index(tmp_path / "index"), SimilarityModel.load(tmp_path / "model")
    assert len(index) == figures["entries"]
    for answer in figures["answers"]:
        found = index.search(model.encode_query([answer["question"]]), k=5)[0]
        assert [hit.id for hit in found] == answer["after"]
