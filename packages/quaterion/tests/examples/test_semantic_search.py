"""The guide to semantic search: its program runs on some of the data."""

import json
import math
from pathlib import Path
from types import ModuleType

import pytest

from quaterion_models import SimilarityModel
from quaterion_models.search import open_index

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "guides" / "semantic-search.md"
FIGURES = ROOT / "docs" / "guides" / "results" / "semantic_search.json"


def test_the_page_shows_the_measured_answers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    answers = json.loads(FIGURES.read_text(encoding="utf-8"))["answers"]
    assert answers
    for answer in answers:
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
