"""`quaterion report` as a user types it."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead, SoftmaxEmbeddingsHead

TEXTS = {
    "cards": ["where is my card", "my card has not arrived", "when will my card come", "card delivery takes long"],
    "rates": ["what is the exchange rate", "which rate do you use", "is the rate for dollars good", "rates of today"],
    "pins": ["how do I change my pin", "I forgot my pin", "pin is blocked <script>", "unblock the pin, please"],
}


def quaterion(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, group] for group, texts in TEXTS.items() for text in texts)
    return tmp_path


@pytest.fixture
def model(folder: Path, minilm_folder: Path) -> Path:
    torch.manual_seed(0)
    SimilarityModel(SentenceTransformerEncoder(minilm_folder), SkipConnectionHead(384)).save(folder / "model")
    return folder / "model"


def figures(path: Path) -> dict:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_a_page_is_written_and_what_it_shows_is_said(model: Path, folder: Path) -> None:
    (folder / "log").mkdir()
    (folder / "log" / "metrics.csv").write_text("step,train_loss\n0,1.5\n10,0.5\n")
    code, out, _ = quaterion("report", model, "test.csv", "--before", "encoder", "--log", "log", "--out", "new/a.html")
    assert code == 0
    assert "The report is in new/a.html." in out
    found = figures(folder / "new" / "a.html")
    assert found["title"] == "model on test.csv"
    assert found["comparison"]["summary"] in out
    assert found["training"]["curves"]["train_loss"]["y"] == [1.5, 0.5]
    assert found["facts"]["file"] == {"name": "test.csv", "rows": 12}
    assert found["facts"]["model"]["head"].startswith("SkipConnectionHead")
    assert found["facts"]["model before"]["head"].startswith("EmptyHead")


def test_pairs_and_no_model_before(minilm_folder: Path, folder: Path) -> None:
    rows = [{"question": texts[0], "answer": texts[1]} for texts in TEXTS.values()]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, error = quaterion("report", minilm_folder, "pairs.jsonl")
    assert code == 0, error
    found = figures(folder / "report.html")
    assert found["kind"] == "pairs" and found["queries"]["scored"] == 3
    assert "before" not in found["histograms"]


def test_a_file_without_the_columns_is_told_before_a_model_is_looked_for(folder: Path) -> None:
    (folder / "odd.csv").write_text("one,two\n1,2\n")
    code, _, error = quaterion("report", "no-model", "odd.csv")
    assert code == 1
    assert "odd.csv" in error and "no-model" not in error and "Traceback (most" not in error


def test_a_log_that_is_missing_is_told_before_the_work_begins(folder: Path) -> None:
    code, _, error = quaterion("report", "no-model", "test.csv", "--log", "nowhere")
    assert code == 1
    assert "nowhere holds no metrics.csv" in error


def test_what_cannot_be_written_or_drawn_is_told_before_a_model_is_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, error = quaterion("report", "no-model", "test.csv", "--out", "test.csv/report.html")
    assert (code, "File exists: test.csv" in error, "no-model" in error) == (1, True, False)
    monkeypatch.setattr("quaterion.eval.report.projection._umap_installed", lambda: False)
    code, _, error = quaterion("report", "no-model", "test.csv", "--projection", "umap")
    assert (code, 'pip install "quaterion[umap]"' in error, "no-model" in error) == (1, True, False)
    assert not (folder / "report.html").exists()


def test_a_softmax_head_says_how_sure_it_is_and_the_encoder_before_does_not(minilm_folder: Path, folder: Path) -> None:
    torch.manual_seed(0)
    head = SoftmaxEmbeddingsHead(output_groups=8, output_size_per_group=4, input_embedding_size=384)
    SimilarityModel(SentenceTransformerEncoder(minilm_folder), head).save(folder / "model")
    code, _, error = quaterion("report", "model", "test.csv", "--before", "encoder")
    assert code == 0, error
    kinds = figures(folder / "report.html")["reliability"]["kinds"]
    assert list(kinds) == ["neighbours", "head"]
    assert (list(kinds["neighbours"]), list(kinds["head"])) == (["before", "after"], ["after"])


def test_the_help_names_the_extra_in_full():
    shown = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, ["report", "--help"]).output
    assert 'pip install "quaterion[report]"' in " ".join(shown.split())
