"""`quaterion tune` as a user types it: real processes, the real encoder, a few hundred real rows."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from typer.testing import CliRunner

from quaterion.cli.app import app
from quaterion.cli.tune_report import leaderboard_table
from quaterion.tuning import Part, Recipe
from quaterion.tuning.search.halving import Trial
from quaterion.tuning.search.scoring import Score
from quaterion_models import SimilarityModel
from quaterion_models.predict import Classifier

START = [sys.executable, "-c", "from quaterion.cli.app import main; main()"]
INTENTS = ("card_arrival", "card_linking", "exchange_rate")
FILES = {"config.json", "README.md", "classifier", "leaderboard.csv", "recipe.yaml", "train.py", "result.json"}
SENTENCE = re.compile(r"Error: [^\n]+[.\"] \(Traceback: quaterion --debug( \S+)? \.\.\.\)\n")
runner = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.fixture(scope="module")
def tickets(datasets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 questions of three intents."""
    with (datasets_folder / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        chosen = [row for row in csv.reader(file) if row[-1] in INTENTS]
    path = tmp_path_factory.mktemp("data") / "tickets.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["query", "intent"], *chosen[:: len(chosen) // 200][:200]])
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors are encoded once for all tests."""
    return tmp_path_factory.mktemp("vectors")


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def tune(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    words = [*START, "tune", *map(str, arguments)]
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def tuned(tickets: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a first run, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = tune(tickets, "--group", "intent", "--out", "model", "--budget", "2s", "--cache", cache, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "model", done.stdout


@pytest.mark.slow
def test_a_first_run(tuned: tuple[Path, str], tickets: Path) -> None:
    folder, printed = tuned
    assert {path.name for path in folder.iterdir()} >= {*FILES, "report.html"}
    assert "200 samples of 3 groups in tickets.csv (200 rows)." in printed
    assert "Held out 40 of 200 samples for the test" in printed
    assert re.search(r"Test: accuracy [01]\.\d{3} -> [01]\.\d{3} \([+-]0\.\d{3}, 95 % interval", printed)
    assert 'Use it: quaterion classify model "a new text"' in printed
    assert "The report is in" in printed
    with (folder / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        board = list(csv.DictReader(file))
    assert board
    assert "untouched encoder" in [row["recipe"] for row in board]
    shares = [float(row["share_of_epochs"]) for row in board]
    assert shares == sorted(shares, reverse=True)
    with tickets.open(newline="", encoding="utf-8") as file:
        known = list(csv.DictReader(file))
    right = [
        found.label == row["intent"]
        for row, found in zip(known, Classifier.load(folder).classify([row["query"] for row in known]), strict=True)
        if found.label is not None
    ]
    assert sum(right) > 0.9 * len(known)


@pytest.mark.slow
def test_the_recipe_gives_the_same_from_any_folder(
    tuned: tuple[Path, str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing beat the untouched encoder, which is then what the recipe says."""
    folder, _ = tuned
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(
        app, ["tune", "--recipe", str(folder / "recipe.yaml"), "--out", "again", "--cache", str(cache)]
    )
    assert done.exit_code == 0, done.output
    first, second = (json.loads((one / "result.json").read_text()) for one in (folder, tmp_path / "again"))
    assert {name: second[name] for name in ("recipe", "test", "encoder")} == {
        name: first[name] for name in ("recipe", "test", "encoder")
    }
    assert second["candidates"] == 0


@pytest.mark.slow
def test_options_go_before_what_the_recipe_says(
    tuned: tuple[Path, str], tickets: Path, cache: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load((tuned[0] / "recipe.yaml").read_text())
    assert content["data"] == str(tickets)
    assert content["reading"]["test_size"] == 0.2
    recipe, out = str(tuned[0] / "recipe.yaml"), str(tmp_path / "out")
    options = ["--out", out, "--cache", str(cache), "--test-size", "50"]
    done = runner.invoke(app, ["tune", "--recipe", recipe, *options])
    assert done.exit_code == 0, done.output
    assert "Held out 50 of 200 samples" in done.output


def interrupted(arguments: list[str], folder: Path, when: Callable[[str], bool]) -> tuple[int, str]:
    """Runs the command, and sends it what Ctrl-C sends as soon as a line on standard error says so."""
    process = subprocess.Popen(
        [*START, "tune", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may ignore the signal, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    told = []
    assert process.stderr is not None
    for line in process.stderr:
        told.append(line)
        if when(line):
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=120)
    return process.returncode, "".join([*told, rest, out])


@pytest.mark.slow
def test_ctrl_c_ends_the_search_with_the_best_so_far(tickets: Path, cache: Path, tmp_path: Path) -> None:
    arguments = [str(tickets), "--group", "intent", "--out", "out", "--budget", "10m", "--cache", str(cache)]
    code, told = interrupted(arguments, tmp_path, lambda line: line.startswith("Candidate"))
    assert code == 0, told
    assert "The search ended early: it was interrupted." in told
    assert "Traceback" not in told
    assert SimilarityModel.load(tmp_path / "out")
    assert (tmp_path / "out.tuning" / "trials.jsonl").read_text().count("\n") > 0


def test_ctrl_c_before_there_is_anything(tickets: Path, tmp_path: Path) -> None:
    code, told = interrupted([str(tickets), "--out", "out"], tmp_path, lambda line: line.startswith("Loading"))
    assert code == 130
    assert told.splitlines()[0] == "Loading ..."
    assert told.splitlines()[1].startswith("Interrupted. Nothing is broken")
    assert len(told.splitlines()) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_the_extra_for_reports_and_with_a_bad_row_everything_else_is_done(
    tickets: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("jinja2", "vl_convert"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("quaterion.tuning.search.space.MOST_EPOCHS", 10)
    data = tmp_path / "data.csv"
    with tickets.open(newline="", encoding="utf-8") as file, data.open("w", newline="", encoding="utf-8") as few:
        header, *rows = csv.reader(file)
        csv.writer(few).writerows([header, *rows[::5], ["broken"]])
    options = ["--out", str(tmp_path / "out"), "--cache", str(cache), "--budget", "1s", "--trials", "1"]
    done = runner.invoke(app, ["tune", str(data), "--group", "intent", *options, "--skip-bad-rows"])
    assert done.exit_code == 0, done.output
    assert "1 bad row" in done.output
    assert "No report: " in done.stderr
    assert 'pip install "quaterion[report]"' in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "encoders", "head.safetensors"} | {
        name for name in ("classes.safetensors",) if (tmp_path / "out" / name).exists()
    }


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "No such file or directory: data.csv"),
        ("", [], "data.csv is empty"),
        ("text,group\n", [], "data.csv has no rows below its header"),
        ("text,group\nhello,a\nhi,a\n", [], "All training samples are in one group, 'a'"),
        ("text,group\nhello,a\nbye\n", [], "data.csv, line 3"),
        ("text,group\nhello,a\nbye,b\n", ["--group", "label"], "no column 'label'"),
        ("text,group\nhello,a\nbye,b\n", ["--budget", "soon"], "expected a time"),
        ("text,group\nhello,a\nbye,b\n", ["--test-size", "9"], "Cannot hold out 9 of 2 samples"),
        ("text,group\nhello,a\nbye,b\n", ["--encoder", "./nowhere"], "no model at './nowhere'"),
        ("text,group\nhello,a\nbye,b\n", ["--recipe", "data.csv"], "is no recipe file"),
        ("recipe: {}", ["--recipe", "data.csv"], "data.csv does not say which encoder it is for; give --encoder too"),
        ("text,group\nhello,a\nbye,b\n", ["--split", "part"], "no column 'part' for split"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    content: str | None, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("data.csv").write_text(content, encoding="utf-8")
    done = runner.invoke(app, ["tune", "data.csv", "--out", "out", *options])
    assert done.exit_code == 1, done.output
    assert message in done.stderr
    assert SENTENCE.fullmatch(done.stderr.removeprefix("Loading ...\n"))
    assert {path.name for path in tmp_path.iterdir()} <= {"data.csv"}


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "Neither DATA nor --recipe"), (["data.csv", "--trials", "0"], "--trials")]
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    done = runner.invoke(app, ["tune", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr


def test_help_has_an_example() -> None:
    done = runner.invoke(app, ["tune", "--help"])
    assert done.exit_code == 0
    assert "Example: quaterion tune tickets.csv" in " ".join(done.output.split())


def trial(number: int, encoder: str) -> Trial:
    recipe = Recipe(head=Part("SkipConnectionHead", {"skip_dropout": 0.3}), losses=(Part("MultiSimilarityLoss"),) * 2)
    score = Score(0.98765, per_query=torch.ones(2), likelihood=-torch.ones(2))
    return Trial(number, recipe, encoder, 0.2, [score], 0.0)


@pytest.mark.parametrize("encoders", [("minilm", "minilm"), ("minilm", "minilm + other")])
def test_figures_stay_whole_in_a_narrow_terminal(encoders: tuple[str, ...]) -> None:
    console = Console(width=50, record=True, file=io.StringIO())
    console.print(leaderboard_table([trial(number, one) for number, one in enumerate(encoders)], 1))
    lines = console.export_text().splitlines()
    assert lines[0].strip() == "1 candidate tried"
    assert lines[1].split()[:3] == ["#", "score", "epochs"]
    assert ("encoder" in lines[1].split()) == (len(set(encoders)) > 1)
    assert [line.split()[:3] for line in lines if "0.9877" in line] == [["0", "0.9877", "20%"], ["1", "0.9877", "20%"]]
    assert all(len(line) <= 50 for line in lines)
