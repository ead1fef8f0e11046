"""`quaterion classify` as a user types it, on a real model."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict import Classifier

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
EXAMPLES = [
    ("where is my new card", "card"),
    ("my card has not come yet", "card"),
    ("when will the card be delivered", "card"),
    ("how do I top up", "money"),
    ("put more money into my account", "money"),
    ("the top-up failed", "money"),
]
QUESTIONS = ["is my card on its way?", "I want to top up", "the weather is nice in Spain"]


@pytest.fixture(scope="module")
def model(minilm_folder: Path) -> SimilarityModel:
    encoder = SentenceTransformerEncoder(str(minilm_folder))
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).eval()


@pytest.fixture(scope="module")
def plain(model: SimilarityModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder without a classifier."""
    path = tmp_path_factory.mktemp("models") / "plain"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def folder(model: SimilarityModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a classifier."""
    path = tmp_path_factory.mktemp("models") / "model"
    model.save(path)
    own_classifier(model).save(path)
    return path


def own_classifier(model: SimilarityModel) -> Classifier:
    return Classifier.from_examples(model, *zip(*EXAMPLES, strict=True), k=3, threshold=0.4)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Any], name: str = "data.csv") -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path / name

    return write


def quaterion(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return runner.invoke(app, ["classify", *map(str, arguments)], input=stdin)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_texts_get_what_the_classifier_gives(model: SimilarityModel, folder: Path) -> None:
    done = quaterion(folder, *QUESTIONS)
    assert done.exit_code == 0, done.output
    expected = own_classifier(model).classify(QUESTIONS)
    assert [one.label for one in expected] == ["card", "money", None]
    assert rows(done.stdout) == [
        {
            "text": text,
            "label": one.label or "",
            "confidence": str(round(one.confidence, 4)),
            "similarity": str(round(one.similarity, 4)),
        }
        for text, one in zip(QUESTIONS, expected, strict=True)
    ]
    assert "Loading" in done.stderr


def test_a_file_keeps_its_columns_and_json_lines_have_null(
    folder: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    data = table([["label", "query"], *[[str(number), text] for number, text in enumerate(QUESTIONS)]])
    done = quaterion(folder, "--data", data, "--out", tmp_path / "out.jsonl")
    assert (done.exit_code, done.stdout) == (0, "")
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [list(answer) for answer in answers] == [
        ["label", "query", "predicted_label", "confidence", "similarity"]
    ] * 3
    assert [(answer["label"], answer["predicted_label"]) for answer in answers] == [
        ("0", "card"),
        ("1", "money"),
        ("2", None),
    ]


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_standard_input_in_each_format(folder: Path, form: str) -> None:
    text = {
        "text": "\n".join(QUESTIONS),
        "csv": "n,text\n" + "\n".join(f"1,{question}" for question in QUESTIONS),
        "jsonl": "\n".join(json.dumps({"text": question}) for question in QUESTIONS),
    }
    done = quaterion(folder, "--json", "--format", form, stdin=text[form])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["card", "money", None]


@pytest.mark.slow
def test_answers_come_before_the_input_ends(folder: Path) -> None:
    start = [sys.executable, "-c", "from quaterion.cli.app import main; main()", "classify", str(folder), "--json"]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for question, label in zip(QUESTIONS, ["card", "money", None], strict=True):
            process.stdin.write(question + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["label"] == label  # the input is still open
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(timeout=60) == 0


def test_examples_alone_make_a_classifier_that_can_be_kept(
    model: SimilarityModel, plain: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    examples = table([["sentence", "intent"], *EXAMPLES], "examples.csv")
    model.save(tmp_path / "model")
    done = quaterion(tmp_path / "model", QUESTIONS[0], "--examples", examples, "--save")
    assert done.exit_code == 0, done.output
    kept = Classifier.load(tmp_path / "model", model=model)
    assert (kept.labels, len(kept.examples), kept.threshold) == (["card", "money"], 6, None)  # type: ignore[arg-type]
    assert rows(quaterion(tmp_path / "model", QUESTIONS[0]).stdout) == rows(done.stdout)
    assert rows(done.stdout)[0]["label"] == "card"


def test_examples_add_groups_to_the_classifier(folder: Path, table: Callable[..., Path]) -> None:
    examples = table([["text", "label"], ["it is raining", "weather"], ["sunny in Spain", "weather"]], "examples.csv")
    done = quaterion(folder, *QUESTIONS, "--examples", examples)
    assert [row["label"] for row in rows(done.stdout)] == ["card", "money", "weather"]
    assert [row["label"] for row in rows(quaterion(folder, *QUESTIONS).stdout)] == ["card", "money", ""]


def test_a_threshold_of_ones_own(folder: Path) -> None:
    assert [row["label"] for row in rows(quaterion(folder, *QUESTIONS, "--threshold", 0.99).stdout)] == [""] * 3
    kept = rows(quaterion(folder, *QUESTIONS, "--threshold", -1).stdout)
    assert all(row["label"] for row in kept)


def test_class_weights_tell_groups_where_there_is_no_classifier(model: SimilarityModel, tmp_path: Path) -> None:
    tuned = SimilarityModel(dict(model.encoders.items()), model.head)
    tuned.class_weights = ClassWeights(
        ["card", "money"], model.encode([EXAMPLES[0][0], EXAMPLES[3][0]], to_numpy=False)
    )
    tuned.save(tmp_path / "model")
    done = quaterion(tmp_path / "model", *QUESTIONS[:2])
    assert [row["label"] for row in rows(done.stdout)] == ["card", "money"]


def test_bad_rows_stop_it_or_are_counted(folder: Path, table: Callable[..., Path]) -> None:
    data = table([["text"], [QUESTIONS[0]], [" "], [QUESTIONS[1]]])
    done = quaterion(folder, "--data", data)
    assert done.exit_code == 1
    assert "Error: data.csv, line 3: field 'text': nothing is in it" in done.stderr
    assert "Traceback (most recent" not in done.stderr
    done = quaterion(folder, "--data", data, "--skip-bad-rows")
    assert [row["label"] for row in rows(done.stdout)] == ["card", "money"]
    assert "Left out 1 bad row." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text", "--data", "x.csv"], "Give texts or --data, not both."),
        (["text", "--threshold", "0.5", "--keep", "0.9"], "--threshold and --keep exclude each other."),
        (["text", "--group", "intent"], "Columns of examples are named without a file: give --examples."),
        (["text", "--method", "eval"], "Invalid value for '--method'"),
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str], message: str) -> None:
    done = quaterion(folder, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_errors_are_one_sentence(plain: Path, table: Callable[..., Path], tmp_path: Path) -> None:
    examples = table([["text", "label"], *EXAMPLES], "examples.csv")
    pairs = table([["anchor", "positive"], ["a", "b"]], "pairs.csv")
    for arguments, message in [
        ([plain, "x"], f"{plain} has no classifier in its folder, so there is nothing to tell groups by."),
        ([plain, "x", "--keep", 0.9], "--keep calibrates a threshold on labelled examples"),
        ([plain, "x", "--keep", 0.9, "--examples", examples], "1 of 6 can be held out to calibrate on, and 20 are"),
        ([plain, "x", "--examples", pairs], "pairs.csv holds pairs; expected examples with their labels"),
        ([plain, "x", "--examples", examples, "--method", "both"], "needs class weights, and the model has none"),
        ([plain, "x", "--out", tmp_path / "out.txt"], "out.txt has the suffix '.txt'; expected .csv or .jsonl."),
        ([plain, "--data", tmp_path / "none.csv"], "No such file or directory"),
    ]:
        done = quaterion(*arguments)
        assert done.exit_code == 1
        assert message in done.stderr
        assert "Traceback (most recent" not in done.stderr


def test_the_help_has_examples_and_exit_codes() -> None:
    text = " ".join(quaterion("--help").stdout.split())
    assert 'Example: quaterion classify my-model "where is my card?"' in text
    assert "Exit codes: 0 done, 1 an error, 2 wrong usage" in text
