"""`quaterion export` as a user types it, on a real model."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead, SoftmaxEmbeddingsHead

runtime = pytest.importorskip("quaterion_runtime")
pytest.importorskip("onnxscript")
runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
TEXTS = [
    ("where is my new card", "card"),
    ("my card has not come yet", "card"),
    ("how do I top up", "money"),
    ("put more money into my account", "money"),
    ("hello there", "greeting"),
    ("good morning", "greeting"),
]


@pytest.fixture(scope="module")
def encoder(minilm_folder: Path) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(str(minilm_folder))


@pytest.fixture(scope="module")
def folder(encoder: SentenceTransformerEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    head = SkipConnectionHead(384)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    SimilarityModel(encoder, head).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with (tmp_path / "data.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("query", "intent"), *TEXTS])
    return tmp_path / "data.csv"


def quaterion(*arguments: object) -> Result:
    return runner.invoke(app, ["export", *map(str, arguments)])


@pytest.mark.slow
def test_int8_reports_what_it_costs_on_data(folder: Path, data: Path, tmp_path: Path) -> None:
    done = quaterion(
        folder, "--to", "onnx", "--out", tmp_path / "out", "--int8", "--data", data, "--text", "query",
        "--group", "intent", "--dimensions", 128,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    vectors = runtime.Model.load(tmp_path / "out").encode([text for text, _ in TEXTS])
    assert vectors.shape == (6, 128)
    own = SimilarityModel.load(folder).encode([text for text, _ in TEXTS])[:, :128]
    groups = np.array([group for _, group in TEXTS])
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    shown = []
    for one in (own, vectors):
        similarity = one @ one.T
        np.fill_diagonal(similarity, -np.inf)
        shown.append(f"{100 * float((groups[similarity.argmax(axis=1)] == groups).mean()):.2f} %")
    # The model itself is measured with all of its components.
    assert f"{shown[1]} of the exported one" in done.output
    assert "weights in int8, embeddings of 128 numbers" in " ".join(done.output.split())
    assert (tmp_path / "out" / "model.onnx").stat().st_size < 30e6


@pytest.mark.slow
def test_to_sentence_transformers(folder: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    done = quaterion(folder, "--to", "sentence-transformers", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    texts = [text for text, _ in TEXTS]
    loaded = library.SentenceTransformer(str(tmp_path / "out"))
    np.testing.assert_allclose(loaded.encode(texts), SimilarityModel.load(folder).encode(texts), atol=1e-5)


def test_what_cannot_be_exported_is_one_sentence(encoder: SentenceTransformerEncoder, tmp_path: Path) -> None:
    SimilarityModel(encoder, SoftmaxEmbeddingsHead(2, 4, 384)).save(tmp_path / "model")
    done = quaterion(tmp_path / "model", "--to", "sentence-transformers", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "a SoftmaxEmbeddingsHead cannot be folded into dense layers" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--int8", "--fp16"], 2, "--int8 and --fp16 exclude each other"),
        (
            ["--to", "sentence-transformers", "--int8", "--dimensions", 5],
            2,
            "--int8, --dimensions go with --to onnx only",
        ),
        (["--text", "query"], 2, "Columns are named without a file"),
        (["--data", "missing.csv"], 1, "missing.csv"),
    ],
)
def test_wrong_usage_is_told_before_a_model_is_loaded(
    tmp_path: Path, arguments: list[object], code: int, message: str
) -> None:
    done = quaterion("no-model", "--out", tmp_path / "out", *arguments)
    assert done.exit_code == code
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_scored_pairs_have_no_recall(tmp_path: Path) -> None:
    (tmp_path / "scored.csv").write_text("sentence1,sentence2,score\na cat,a dog,0.4\n")
    done = quaterion("no-model", "--out", tmp_path / "out", "--data", tmp_path / "scored.csv")
    assert (done.exit_code, "holds scored pairs" in done.stderr) == (1, True)


def test_the_help_has_an_example() -> None:
    done = quaterion("--help")
    assert "quaterion export my-model --to onnx --out exported --int8" in " ".join(done.output.split())
