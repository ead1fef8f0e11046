"""`quaterion evaluate` as a user types it, on a real model."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from scipy.stats import spearmanr
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion.dataset.files import read_samples
from quaterion.eval import Evaluator, GroupSampler, PairSampler
from quaterion.eval.group import RetrievalRecall, RetrievalReciprocalRank
from quaterion.eval.pair import RetrievalReciprocalRank as PairReciprocalRank
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import EmptyHead, SkipConnectionHead, SwitchHead, WideningHead

runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
TEXTS = [
    ("where is my new card", "card"),
    ("my card has not come yet", "card"),
    ("when will the card be delivered", "card"),
    ("how do I top up", "money"),
    ("put more money into my account", "money"),
    ("the top-up failed", "money"),
    ("hello there", "greeting"),
]
PAIRS = [("capital of France", "Paris"), ("a big cat with stripes", "tiger"), ("it falls from clouds", "rain")]


@pytest.fixture(scope="module")
def encoder(minilm_folder: Path) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(str(minilm_folder))


@pytest.fixture(scope="module")
def folder(encoder: SentenceTransformerEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a head that was never trained, and has random weights."""
    path = tmp_path_factory.mktemp("models") / "model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        SimilarityModel(encoder, WideningHead(encoder.embedding_size)).save(path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(names: Sequence[str], rows: Sequence[Sequence[Any]], name: str = "data.csv") -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *rows])
        return tmp_path / name

    return write


@pytest.fixture
def texts(table: Callable[..., Path]) -> Path:
    return table(["query", "intent"], TEXTS)


def quaterion(*arguments: object) -> Result:
    return runner.invoke(app, ["evaluate", *map(str, arguments)])


def figures(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_the_table_and_the_json_hold_what_the_evaluator_gives(folder: Path, texts: Path, tmp_path: Path) -> None:
    done = quaterion(folder, texts, "--metric", "recall", "--metric", "mrr", "--k", 2, "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    metrics = {"recall@2": RetrievalRecall(k=2), "mrr": RetrievalReciprocalRank()}
    expected = Evaluator(metrics, GroupSampler(log_progress=False)).score(
        read_samples(texts), SimilarityModel.load(folder)
    )
    found = figures(tmp_path / "out.json")
    assert list(found["metrics"]) == ["recall@2", "mrr"]
    for name, interval in expected.intervals().items():
        assert found["metrics"][name] == pytest.approx(interval._asdict(), abs=1e-4)
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [name] and ":" not in line]
        assert line.split() == [name, f"{interval.value:.4f}", f"{interval.low:.4f}", "to", f"{interval.high:.4f}"]
    assert (found["queries"], found["left_out"]) == (7, 1)
    assert found["data"]["columns"] == {"text": "query", "group": "intent"}
    assert "7 samples of 3 groups in data.csv (7 rows)." in done.stdout
    assert "Over 6 queries. Left out: 1 with nothing to find." in done.stdout


def test_before_encoder_compares_with_the_encoder_alone(
    folder: Path, texts: Path, minilm_folder: Path, tmp_path: Path
) -> None:
    done = quaterion(folder, texts, "--k", 1, "--before", "encoder", "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    alone = quaterion(minilm_folder, texts, "--k", 1, "--json", tmp_path / "b.json")
    assert alone.exit_code == 0, alone.output
    found, metrics = figures(tmp_path / "a.json"), figures(tmp_path / "b.json")["metrics"]
    for row in found["comparison"]["metrics"]:
        assert row["before"] == pytest.approx(metrics[row["name"]], abs=1e-6)
        assert row["after"] == found["metrics"][row["name"]]
    assert found["before"] == "encoder"
    assert f"Before: the encoder of {folder} alone" in done.stdout
    assert "Not better: no metric shows a difference between before and after." in done.stdout


def test_before_a_folder_compares_with_that_model(folder: Path, texts: Path) -> None:
    done = quaterion(folder, texts, "--k", 1, "--before", folder)
    assert done.exit_code == 0, done.output
    assert f"Before: {folder}\nAfter:  {folder}\n" in done.stdout
    assert "+0.000 [+0.000, +0.000]" in done.stdout


def test_one_encoder_runs_once_for_both_models(folder: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    forward = SentenceTransformerEncoder.forward

    def counted(self: SentenceTransformerEncoder, batch: Any) -> torch.Tensor:
        vectors = forward(self, batch)
        encoded.append(len(vectors))
        return vectors

    monkeypatch.setattr(SentenceTransformerEncoder, "forward", counted)
    assert quaterion(folder, texts, "--k", 1, "--before", "encoder").exit_code == 0
    assert sum(encoded) == len(TEXTS)


def test_vectors_in_a_cache_are_not_encoded_again(
    folder: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quaterion(folder, texts, "--k", 1, "--cache", tmp_path / "cache")
    monkeypatch.setattr(SentenceTransformerEncoder, "forward", lambda *_: pytest.fail("encoded again"))
    second = quaterion(folder, texts, "--k", 1, "--cache", tmp_path / "cache")
    assert second.exit_code == 0, second.output
    assert second.stdout == first.stdout


def test_pairs_search_one_side_for_the_other_through_the_heads_of_both(
    encoder: SentenceTransformerEncoder, table: Callable[..., Path], tmp_path: Path
) -> None:
    size = encoder.embedding_size
    # A document head that turns all around makes right answers the last ones.
    turned = SkipConnectionHead(size)
    with torch.no_grad():
        turned.gates[0].fill_(100)
        turned.layers[0].weight.copy_(-2 * torch.eye(size))
        turned.layers[0].bias.zero_()
    head = SwitchHead({"query": EmptyHead(size), "document": turned}, size)
    SimilarityModel(encoder, head).save(tmp_path / "model")
    data = table(["question", "answer"], PAIRS)
    done = quaterion(tmp_path / "model", data, "--metric", "mrr", "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    model, sampler = SimilarityModel.load(tmp_path / "model"), PairSampler(distinguish=True, log_progress=False)
    expected = Evaluator(PairReciprocalRank(), sampler).evaluate(read_samples(data), model)
    value = figures(tmp_path / "a.json")["metrics"]["mrr"]["value"]
    assert value == pytest.approx(expected["RetrievalReciprocalRank"].item()) == pytest.approx(1 / 3)
    plain = quaterion(tmp_path / "model", data, "--k", 1, "--before", "encoder", "--json", tmp_path / "b.json")
    assert plain.exit_code == 0, plain.output
    assert figures(tmp_path / "b.json")["comparison"]["metrics"][0]["before"]["value"] == 1.0


def test_scored_pairs_are_measured_by_their_correlation(
    minilm_folder: Path, encoder: SentenceTransformerEncoder, table: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [("a cat", "a kitten", 5), ("a cat", "a car", 1), ("a dog", "a puppy", 4.5), ("rain", "two cars", 0)]
    done = quaterion(minilm_folder, table(["left", "right", "score"], rows), "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    model = SimilarityModel(encoder, EmptyHead(encoder.embedding_size))
    sides = [model.encode([row[side] for row in rows], normalize=True) for side in (0, 1)]
    expected = spearmanr((sides[0] * sides[1]).sum(axis=1), [row[2] for row in rows]).statistic
    assert figures(tmp_path / "a.json")["metrics"]["spearman"]["value"] == pytest.approx(expected)
    assert "Scores from 0 to 5 were brought to 0 to 1." in done.stdout
    assert "Over 4 pairs." in done.stdout


def test_pairs_that_match_or_do_not_are_measured_as_such(minilm_folder: Path, table: Callable[..., Path]) -> None:
    rows = [("a cat", "a kitten", "true"), ("a cat", "a car", "false"), ("a dog", "a puppy", "true")]
    done = quaterion(minilm_folder, table(["left", "right", "match"], rows), "--score", "match")
    assert done.exit_code == 0, done.output
    shown = dict(line.split()[:2] for line in done.stdout.splitlines() if " to " in line)
    assert shown == {"average_precision": "1.0000", "best_f1": "1.0000", "roc_auc": "1.0000"}


def test_a_sample_is_told_and_is_the_same_for_one_seed(folder: Path, texts: Path, tmp_path: Path) -> None:
    options = [folder, texts, "--k", 1, "--sample", 3]
    first = quaterion(*options, "--seed", 1)
    assert "Over 3 of 7 queries." in first.stdout
    assert quaterion(*options, "--seed", 1).stdout == first.stdout


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("one", "a"), ("two", "b")], ["--k", 1], "Not one of 2 queries has a relevant candidate"),
        ([("one", "a"), ("two", "a")], ["--k", 1], "All 2 objects are of one group"),
        ([("one", "a"), ("two", "a"), ("three", "b")], [], "Use a k of at most 2"),
        ([("one", "a"), ("two",)], [], "data.csv, line 3, field 'intent': the row has 1 field"),
        ([("one", "a")], ["--text", "zzz"], "data.csv has no column 'zzz' for text. It has 'query', 'intent'."),
        ([("one", "a")], ["--metric", "spearman"], "There is no metric 'spearman' of groups. Expected --metric with"),
        ([("one", "a")], ["--json", "data.csv/out.json"], "File exists: data.csv"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    folder: Path,
    table: Callable[..., Path],
    rows: list[tuple[str, ...]],
    options: list[Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = quaterion(folder, table(["query", "intent"], rows), *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert message in done.stderr.splitlines()[-1]


def test_what_is_wrong_with_the_data_is_told_before_the_model_is_loaded(table: Callable[..., Path]) -> None:
    done = quaterion("no-model", table(["query", "intent"], [("one",)]))
    assert "Loading" not in done.stderr
    assert "line 2" in done.stderr


def test_bad_rows_can_be_left_out_and_are_counted(folder: Path, table: Callable[..., Path]) -> None:
    done = quaterion(folder, table(["query", "intent"], [*TEXTS, ("bad",)]), "--k", 1, "--skip-bad-rows")
    assert done.exit_code == 0, done.output
    assert "Left out 1 bad row: line 9, field 'intent': the row has 1 field" in done.stdout


def test_a_model_that_does_not_exist_is_told(texts: Path) -> None:
    done = quaterion("no-model", texts, "--k", 1)
    assert done.exit_code == 1
    assert "Error: Cannot load 'no-model', neither as a folder that SimilarityModel.save wrote nor" in done.stderr


def test_a_damaged_model_is_told(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{")
    done = quaterion(tmp_path / "model", texts)
    assert done.exit_code == 1
    assert str(tmp_path / "model" / "config.json") in done.stderr


@pytest.mark.parametrize("option", [["--k", 0], ["--sample", 0], ["--score-range", 1], ["--sed", 1]])
def test_wrong_options_are_wrong_usage(texts: Path, option: list[Any]) -> None:
    assert quaterion("model", texts, *option).exit_code == 2


def test_the_help_has_an_example_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from quaterion.cli import main; sys.argv = ['quaterion', 'evaluate', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'sentence_transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.strip() == "[]"
    assert "Example: quaterion evaluate my-model test.csv --text query --group intent --before encoder" in done.stdout


@pytest.mark.slow
def test_the_untouched_encoder_reaches_its_known_figures(
    minilm_folder: Path, datasets_folder: Path, tmp_path: Path
) -> None:
    banking, stsb = datasets_folder / "banking77" / "test.csv", datasets_folder / "stsb" / "stsb-en-test.csv"
    done = quaterion(minilm_folder, banking, "--json", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    assert "3,080 samples of 77 groups" in done.stdout
    assert figures(tmp_path / "a.json")["queries"] == 3080
    columns = ["--anchor", 1, "--positive", 2, "--score", 3]
    assert quaterion(minilm_folder, stsb, *columns, "--json", tmp_path / "b.json").exit_code == 0
    # Published with the encoder: 82.03.
    assert figures(tmp_path / "b.json")["metrics"]["spearman"]["value"] == pytest.approx(0.8203, abs=5e-5)
