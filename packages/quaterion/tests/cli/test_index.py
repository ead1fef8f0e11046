"""`quaterion index` as a user types it."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from quaterion.cli.app import app
from quaterion.cli.evaluate_models import load_model
from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead
from quaterion_models.search import ExactIndex, open_index

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
ROWS = [{"vector": [float(place), 1.0], "name": f"row {place}", "year": 2000 + place} for place in range(5)]


def quaterion(*arguments: object) -> Result:
    return runner.invoke(app, ["index", *map(str, arguments)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    SimilarityModel(VectorEncoder(2), EmptyHead(2)).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0]]), encoding="utf-8")
    return tmp_path / "data.jsonl"


def test_it_tells_what_it_did_and_does_nothing_the_second_time(model: Path, data: Path, tmp_path: Path) -> None:
    done = quaterion(model, data, "--text", "vector", "--id", "name", "--into", tmp_path / "index")
    assert done.exit_code == 0, done.output
    assert "5 objects were encoded, 0 were there already." in done.stdout
    assert "Rows left out: 1 repeat an earlier row." in done.stdout
    assert "holds 5 objects, vectors of 2 numbers." in " ".join(done.stdout.split())
    index = open_index(tmp_path / "index")
    assert isinstance(index, ExactIndex)
    hit = index.search([[4.0, 1.0]], k=1, filter={"year": {"gte": 2004}})[0][0]
    assert (hit.id, hit.payload["year"]) == ("row 4", 2004)
    again = quaterion(model, data, "--text", "vector", "--id", "name", "--into", tmp_path / "index")
    assert "0 objects were encoded, 5 were there already." in again.stdout


def test_another_model_needs_rebuild(model: Path, data: Path, tmp_path: Path) -> None:
    arguments = [data, "--text", "vector", "--into", tmp_path / "index"]
    assert quaterion(model, *arguments).exit_code == 0
    SimilarityModel(VectorEncoder(2), SkipConnectionHead(2)).save(tmp_path / "other")
    refused = quaterion(tmp_path / "other", *arguments)
    assert refused.exit_code == 1
    assert "was made with another model" in refused.stderr
    assert "--rebuild" in refused.stderr
    assert "Traceback (most" not in refused.stderr
    done = quaterion(tmp_path / "other", *arguments, "--rebuild")
    assert done.exit_code == 0, done.output
    assert "5 objects were encoded" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "body"], "has no column 'body'"),
        (["--text", "vector", "--id", "same"], "the id 'x' in line 1 and, with other content, in line 2"),
        (["--text", "vector", "--factory", "HNSW32"], "--kind faiss"),
        (["--text", "vector", "--kind", "exact", "--into", "http://127.0.0.1:9"], "is a server, which holds no index"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    model: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    rows = [{**row, "same": "x"} for row in ROWS]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    into = [] if "--into" in arguments else ["--into", tmp_path / "index"]
    done = quaterion(model, tmp_path / "data.jsonl", *arguments, *into)
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "index").exists()


def test_a_missing_an_empty_file_and_a_strange_folder(model: Path, data: Path, tmp_path: Path) -> None:
    missing = quaterion(model, tmp_path / "none.csv", "--into", tmp_path / "index")
    assert "No such file or directory" in missing.stderr
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    assert "empty.csv is empty" in quaterion(model, tmp_path / "empty.csv", "--into", tmp_path / "index").stderr
    strange = quaterion(model, data, "--text", "vector", "--into", model)
    assert strange.exit_code == 1
    assert "holds files but no index" in " ".join(strange.stderr.split())
    assert SimilarityModel.load(model).output_size == 2


def test_a_server_that_is_down_is_told_at_once(model: Path, data: Path) -> None:
    pytest.importorskip("qdrant_client")
    start = time.monotonic()
    done = quaterion(model, data, "--text", "vector", "--into", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "no answer from Qdrant at http://127.0.0.1:9" in " ".join(done.stderr.split())
    assert time.monotonic() - start < 30


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody can write: Linux has /proc")
def test_a_folder_that_cannot_be_written(model: Path, data: Path) -> None:
    done = quaterion(model, data, "--text", "vector", "--into", "/proc/index")
    assert done.exit_code == 1
    assert "Error:" in done.stderr


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # what a full disk does, to each file
from quaterion.cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_a_full_disk_leaves_what_was_saved_before(model: Path, data: Path, tmp_path: Path, kind: str) -> None:
    if kind == "faiss":
        pytest.importorskip("faiss")
    arguments = ["index", model, data, "--text", "vector", "--into", tmp_path / "index", "--kind", kind]
    assert quaterion(*arguments[1:]).exit_code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    rows = [{"vector": [float(place), 2.0], "name": "more", "year": place} for place in range(3000)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Error: File too large" in done.stderr
    assert "Traceback (most" not in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == before
    assert "3,000 objects were encoded, 0 were there already." in quaterion(*arguments[1:]).stdout
    assert len(open_index(tmp_path / "index")) == 3005


def test_a_device_is_where_the_model_computes(model: Path, data: Path, tmp_path: Path) -> None:
    arguments = [model, data, "--text", "vector", "--into", tmp_path / "index", "--device"]
    done = quaterion(*arguments, "moon")
    assert done.exit_code == 1
    assert "at start of device string: moon" in " ".join(done.stderr.split())
    assert not (tmp_path / "index").exists()
    assert quaterion(*arguments, "cpu").exit_code == 0


@pytest.mark.slow
def test_a_real_model_killed_on_the_way_goes_on(minilm_folder: Path, tmp_path: Path) -> None:
    texts = [f"what shall I do with card number {number}" for number in range(300)]
    with (tmp_path / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text",), *((text,) for text in texts)])
    arguments = ["index", minilm_folder, tmp_path / "data.csv", "--into", tmp_path / "index"]
    options = ["--batch-size", "2", "--save-every", "0"]
    command = [sys.executable, "-c", "from quaterion.cli.app import main; main()", *map(str, [*arguments, *options])]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list((tmp_path / "index").glob("vectors-*.npy")):
            time.sleep(0.02)
        process.kill()
    before = len(open_index(tmp_path / "index"))
    assert before < 300
    done = runner.invoke(app, list(map(str, arguments)))
    assert f"{300 - before} objects were encoded, {before} were there already." in done.stdout
    index, whole = open_index(tmp_path / "index"), ExactIndex(384)
    model = load_model(str(minilm_folder))
    whole.add(texts, model.encode_document(texts))
    queries = model.encode_query(["number 17"])
    found, expected = index.search(queries, 300)[0], whole.search(queries, 300)[0]
    assert sorted(hit.payload["text"] for hit in found) == sorted(texts)
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-5)
