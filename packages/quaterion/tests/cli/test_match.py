"""`quaterion match` as a user types it, on a real model."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict import Matcher, calibrate_matcher

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
LEFT = ["a red bicycle", "black leather shoes", "a kitchen table"]
RIGHT = ["table for the kitchen", "bicycle, red", "shoes of black leather", "a red bike"]
PAIRS = [
    ("a blue car", "car in blue", "1"),
    ("a wooden chair", "chair made of wood", "1"),
    ("a big lamp", "green tea", "0"),
    ("a blue car", "a blue cup", "0"),
]


@pytest.fixture(scope="module")
def model(minilm_folder: Path) -> SimilarityModel:
    encoder = SentenceTransformerEncoder(str(minilm_folder))
    return SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).eval()


@pytest.fixture(scope="module")
def folder(model: SimilarityModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    model.save(path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Any], name: str) -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path / name

    return write


@pytest.fixture
def left(table: Callable[..., Path]) -> Path:
    return table([["n", "title"], *enumerate(LEFT)], "left.csv")


@pytest.fixture
def right(table: Callable[..., Path]) -> Path:
    return table([["name"], *([text] for text in RIGHT)], "right.csv")


def quaterion(*arguments: object, stdin: str | None = None) -> Result:
    return runner.invoke(app, ["match", *map(str, arguments)], input=stdin)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def similarities(model: SimilarityModel, left: list[str], right: list[str]) -> torch.Tensor:
    unit = [torch.nn.functional.normalize(model.encode(some, to_numpy=False)) for some in (left, right)]
    return unit[0] @ unit[1].T


def test_pairs_of_two_files_above_the_threshold(model: SimilarityModel, folder: Path, left: Path, right: Path) -> None:
    done = quaterion(folder, left, right, "--text", "title", "--right-text", "name", "--threshold", 0.6)
    assert done.exit_code == 0, done.output
    table = similarities(model, LEFT, RIGHT)
    expected = []
    for i, row in enumerate(table.tolist()):
        expected += [(i, j, row[j]) for j in sorted(range(4), key=lambda j: -row[j]) if row[j] >= 0.6]
    assert [(i, j) for i, j, _ in expected] == [(0, 3), (0, 1), (1, 2), (2, 0)]
    found = rows(done.stdout)
    assert [float(row.pop("similarity")) for row in found] == pytest.approx(
        [similarity for *_, similarity in expected], abs=1e-4
    )
    assert found == [
        {"left_row": str(i + 1), "right_row": str(j + 1), "left_text": LEFT[i], "right_text": RIGHT[j]}
        for i, j, _ in expected
    ]


def test_one_match_for_each_text(folder: Path, left: Path, right: Path) -> None:
    columns = ["--text", "title", "--right-text", "name", "--threshold", 0.6]
    for kind in ("greedy", "mutual"):
        done = quaterion(folder, left, right, *columns, "--one-to-one", kind)
        assert [(row["left_row"], row["right_row"]) for row in rows(done.stdout)] == [
            ("1", "4"),
            ("2", "3"),
            ("3", "1"),
        ]
    done = quaterion(folder, left, right, *columns, "--top", 1)
    assert len(rows(done.stdout)) == 3


def test_within_one_file_and_into_a_file(folder: Path, table: Callable[..., Path], tmp_path: Path) -> None:
    data = table([["text"], ["a red bicycle"], [""], ["blue shoes"], ["a red bike"]], "data.csv")
    done = quaterion(folder, data, "--threshold", 0.7, "--skip-bad-rows", "--out", tmp_path / "out.jsonl")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Left out 1 bad row." in done.stderr
    (found,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (found["left_row"], found["right_row"]) == (1, 4)  # rows of the file, those left out counted


def test_the_threshold_is_chosen_on_labelled_pairs_and_kept(
    model: SimilarityModel, table: Callable[..., Path], left: Path, right: Path, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    pairs = table([["text_a", "text_b", "score"], *PAIRS], "pairs.csv")
    table_of_all = similarities(model, [one for one, _, _ in PAIRS], [other for _, other, _ in PAIRS])
    expected = calibrate_matcher(table_of_all.diagonal(), [1, 1, 0, 0], precision=0.9)
    columns = ["--text", "title", "--right-text", "name"]
    done = quaterion(
        tmp_path / "model", left, right, *columns, "--labelled", pairs, "--precision", 0.9, "--save", "--json"
    )
    assert done.exit_code == 0, done.output
    assert (
        f"On 4 labelled pairs the threshold {expected.threshold:.4f} has precision 100.0%, recall 100.0%, F1 1.000."
        in done.stderr
    )
    kept = Matcher.load(tmp_path / "model", model=model)
    assert kept.threshold == pytest.approx(expected.threshold, abs=1e-6)
    assert kept.calibration is not None
    again = quaterion(tmp_path / "model", left, right, *columns, "--json")
    assert again.stdout == done.stdout != ""


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_the_left_texts_may_be_standard_input(folder: Path, right: Path, form: str) -> None:
    stdin = "\n".join(LEFT if form == "text" else [json.dumps({"text": text}) for text in LEFT])
    done = quaterion(folder, "-", right, "--right-text", "name", "--threshold", 0.6, "--format", form, stdin=stdin)
    assert done.exit_code == 0, done.output
    assert [(row["left_row"], row["right_row"]) for row in rows(done.stdout)] == [
        *(("1", "4"), ("1", "2"), ("2", "3"), ("3", "1"))
    ]
    done = quaterion(folder, "-", "--threshold", 0.6, stdin="\n".join([*LEFT, "red bicycle"]))
    assert [(row["left_row"], row["right_row"]) for row in rows(done.stdout)] == [("1", "4")]


@pytest.mark.slow
def test_matches_come_before_the_input_ends(folder: Path, right: Path) -> None:
    start = [sys.executable, "-c", "from quaterion.cli.app import main; main()", "match", str(folder), "-", str(right)]
    start += ["--threshold", "0.6", "--top", "1", "--json"]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for place, text in enumerate(LEFT):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            found = json.loads(process.stdout.readline())  # the input is still open
            assert (found["left_row"], found["right_row"]) == (place + 1, [4, 3, 1][place])
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_files_without_a_row_that_can_be_used_match_nothing(
    folder: Path, table: Callable[..., Path], left: Path
) -> None:
    empty = table([["title"], [" "]], "empty.csv")
    for files in ([empty, left], [left, empty], [empty]):
        done = quaterion(folder, *files, "--text", "title", "--threshold", 0.5, "--skip-bad-rows")
        assert (done.exit_code, done.stdout) == (0, ""), done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "0.5", "--labelled", "p.csv"], "--threshold and --labelled exclude each other."),
        (["--precision", "0.5"], "--precision, --anchor, --positive and --score go with --labelled."),
        (["--right-text", "name"], "--right-text goes with RIGHT."),
        (["--top", "0"], "Invalid value for '--top'"),
    ],
)
def test_wrong_usage(folder: Path, left: Path, arguments: list[str], message: str) -> None:
    done = quaterion(folder, left, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_errors_are_one_sentence(folder: Path, left: Path, table: Callable[..., Path], tmp_path: Path) -> None:
    graded = table([["text_a", "text_b", "score"], ["a", "b", "0.5"]], "graded.csv")
    plain = table([["text_a", "text_b"], ["a", "b"]], "plain.csv")
    never = table([["text_a", "text_b", "score"], ["a", "a", "0"], ["a", "b", "1"]], "never.csv")
    for arguments, message in [
        ([left], f"{folder} has no matcher in its folder, so there is no threshold."),
        ([left, "--text", "price", "--threshold", 0.5], "left.csv has no column 'price'. It has 'n', 'title'."),
        ([left, "--labelled", graded], "graded.csv must hold pairs of texts with scores that are 0 (no match) or 1"),
        ([left, "--labelled", plain], "plain.csv must hold pairs of texts with scores"),
        ([left, "--labelled", never, "--precision", 0.9], "no threshold has a precision of 0.9 on the 2 labelled"),
        ([tmp_path / "none.csv", "--threshold", 0.5], "No such file or directory"),
    ]:
        done = quaterion(folder, *arguments)
        assert done.exit_code == 1
        assert message in done.stderr
        assert "Traceback (most recent" not in done.stderr


def test_the_help_has_an_example_and_exit_codes() -> None:
    text = " ".join(quaterion("--help").stdout.split())
    assert "Example: quaterion match my-model offers.csv products.csv --text title --labelled pairs.csv" in text
    assert "Exit codes: 0 done, 1 an error, 2 wrong usage" in text
