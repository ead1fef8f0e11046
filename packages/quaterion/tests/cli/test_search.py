"""`quaterion search` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from quaterion.cli.app import app
from quaterion.cli.search import parse_conditions
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder, VectorEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead, SwitchHead
from quaterion_models.search import ExactIndex

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
TEXTS = ["where is my card", "I want my money back", "hello there", "how is the weather"]


def quaterion(*arguments: object, typed: str | None = None) -> Result:
    return runner.invoke(app, list(map(str, arguments)), input=typed)


def answers(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-sided model, data and an index."""
    folder = tmp_path_factory.mktemp("search")
    document = SkipConnectionHead(384)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in document.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    head = SwitchHead({"query": EmptyHead(384), "document": document}, 384)
    SimilarityModel(SentenceTransformerEncoder(str(minilm_folder)), head).save(folder / "model")
    lines = [json.dumps({"text": text, "number": place}) for place, text in enumerate(TEXTS)]
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = quaterion("index", folder / "model", folder / "data.jsonl", "--into", folder / "index")
    assert done.exit_code == 0, done.output
    return folder


def test_queries_are_encoded_as_queries_and_objects_as_documents(folder: Path) -> None:
    model = SimilarityModel.load(folder / "model")
    query, documents = model.encode_query(["card"])[0], model.encode_document(TEXTS)
    cosines = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    (answer,) = answers(quaterion("search", folder / "model", folder / "index", "card"))
    assert answer["query"] == "card"
    assert [hit["payload"]["text"] for hit in answer["hits"]] == [TEXTS[place] for place in np.argsort(-cosines)]
    np.testing.assert_allclose([hit["score"] for hit in answer["hits"]], np.sort(cosines)[::-1], atol=1e-5)


def test_queries_from_standard_input_with_a_filter(folder: Path) -> None:
    done = quaterion(
        "search", folder / "model", folder / "index", "--k", 1, "--filter", "number>=2", typed="first\n\n second \n"
    )
    found = answers(done)
    assert [answer["query"] for answer in found] == ["first", "second"]
    assert all(len(answer["hits"]) == 1 and answer["hits"][0]["payload"]["number"] >= 2 for answer in found)


def test_what_is_wrong_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    model, index = folder / "model", folder / "index"
    ExactIndex(384).save(tmp_path / "empty")
    small = ExactIndex(3)
    small.add(["a"], [[1.0, 2.0, 3.0]])
    small.save(tmp_path / "small")
    SimilarityModel(VectorEncoder(384), EmptyHead(384)).save(tmp_path / "other")
    for arguments, message in [
        ([model, tmp_path, "x"], "holds no index: there is no index.json"),
        ([model, tmp_path / "empty", "x"], "is empty: there is nothing to find"),
        ([model, tmp_path / "small", "x"], "holds vectors of 3 numbers, and the model makes 384"),
        ([tmp_path / "other", index, "x"], "was made with another model"),
        ([model, index, "x", "--filter", "year=2000"], "asks for the field 'year', which no object has; there are"),
    ]:
        done = quaterion("search", *arguments)
        assert done.exit_code == 1
        assert message in " ".join(done.stderr.split())
        assert "Traceback (most" not in done.stderr
        assert done.stdout == ""


def test_what_an_index_holds_does_not_steer_the_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = SimilarityModel.load(folder / "model")
    index = ExactIndex(384)
    index.add(
        ["\x1b]0;title\x07"], model.encode_document(["card"]), [{"text": "a\x1b[2J\x9b31mb [bold]c\rd", "\x1bn": 1}]
    )
    index.save(tmp_path / "index")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(SystemExit) as end:
        app(["search", str(folder / "model"), str(tmp_path / "index"), "card"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "a [2J 31mb [bold]c d" in shown
    assert [one for one in shown if not one.isprintable() and one != "\n"] == []


def test_an_index_in_qdrant_is_searched_like_any_other(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    options = ["--into", tmp_path / "index", "--kind", "qdrant"]
    assert quaterion("index", folder / "model", folder / "data.jsonl", *options).exit_code == 0
    expected, found = (
        answers(quaterion("search", folder / "model", place, "card", "--filter", "number<3"))[0]["hits"]
        for place in (folder / "index", tmp_path / "index")
    )
    assert [hit["payload"] for hit in found] == [hit["payload"] for hit in expected]
    np.testing.assert_allclose([hit["score"] for hit in found], [hit["score"] for hit in expected], atol=1e-5)


def test_a_query_that_is_no_text_is_shown(folder: Path) -> None:
    done = runner.invoke(app, ["search", str(folder / "model"), str(folder / "index")], input=b"good\ncaf\xe9\n")
    assert done.exit_code == 1
    assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == ["good"]
    assert r"the query 'caf\udce9' is no UTF-8. Write queries in UTF-8" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that break")
def test_a_reader_that_has_enough_ends_it_without_a_word(folder: Path) -> None:
    arguments = ["search", str(folder / "model"), str(folder / "index")]
    command = [sys.executable, "-c", "from quaterion.cli.app import main; main()", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write("card\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["query"] == "card"
        process.stdout.close()
        process.stdin.write("money\n" * 3)
        process.stdin.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)


def test_conditions() -> None:
    assert parse_conditions([]) is None
    assert parse_conditions(["a = x", "a=y=z", "n>1", "n <= 2.5", "flag=true", "code=007"]) == {
        "a": ["x", "y=z"],
        "n": {"gt": 1, "lte": 2.5},
        "flag": ["true", True],
        "code": ["007", 7],
    }


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["year"], "is no condition; expected one like lang=en"),
        (["year>=new"], "compares with 'new'; expected a number"),
        (["year>=true"], "compares with 'true'; expected a number"),
        (["year=2000", "year>1990"], "a value and a range; expected one of these"),
        (["year>1", "year>2"], "two bounds year>; expected one"),
    ],
)
def test_conditions_that_are_none(conditions: list[str], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        parse_conditions(conditions)
    done = quaterion("search", "model", "index", "x", *[part for one in conditions for part in ("--filter", one)])
    assert done.exit_code == 2
