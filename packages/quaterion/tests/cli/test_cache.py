"""`quaterion cache` as a user types it."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from quaterion.cache import EmbeddingStore
from quaterion.cli.app import app

DAY = 86_400
DIMENSION = 2048  # a vector fills two blocks of the file system
WRITER = textwrap.dedent("""
    import sys
    import numpy as np
    from quaterion.cache import EmbeddingStore
    store = EmbeddingStore.open(sys.argv[1])
    store.claim(np.ones((3, 16), np.uint8))
    print("ready", flush=True)
    sys.stdin.readline()
""")


def run(*arguments: object, answer: str = "", columns: int = 80) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, ["cache", *map(str, arguments)], input=answer)


def made(root: Path, letter: str, *, days: float = 0, encoder: str = "Letters", dtype: str = "float32") -> Path:
    """A store of three vectors, each in a shard of its own."""
    folder = root / f"{letter * 32}-{dtype}"
    store = EmbeddingStore(
        fingerprint=letter * 64,
        dimension=DIMENSION,
        encoder=encoder,
        dtype="float16" if dtype == "float16" else "float32",
        folder=folder,
    )
    for number in range(3):
        store.add(np.full((1, 16), number, np.uint8), np.full((1, DIMENSION), number, np.float32))
        store.flush()
    os.utime(folder / "last-use", (time.time() - days * DAY,) * 2)
    return folder


def damage(folder: Path, row: int) -> None:
    with (folder / "part-0.vectors").open("r+b") as stream:
        stream.seek(row * DIMENSION * 4)
        stream.write(b"x")


@contextmanager
def writer(folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def line_of(output: str, beginning: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith(beginning)]
    return line


def test_ls_shows_a_row_for_each_store_and_totals_in_80_columns(tmp_path: Path) -> None:
    made(tmp_path, "a", days=45, encoder="SentenceTransformerEncoder")
    made(tmp_path, "b", dtype="float16")
    made(tmp_path, "b")
    result = run("ls", tmp_path)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    cells = line_of(result.output, "aaaaaaaa").split()
    assert cells[2:5] == ["3", "2048", "float32"]
    assert cells[-3:] == ["now", "45", "d"]  # made, used
    assert line_of(result.output, "bbbbbbbb-float16").split()[1:5] == ["Letters", "3", "2048", "float16"]
    assert line_of(result.output, "3 stores, 9 rows, ")
    assert "SentenceTransformerEncoder" in run("ls", tmp_path, columns=120).output


def test_ls_marks_what_is_written_to_damaged_or_newer_and_says_why(
    tmp_path: Path, rewrite_as_newer: Callable[[Path, int], None]
) -> None:
    folder = made(tmp_path, "a")
    (made(tmp_path, "b") / "manifest.json").write_text("{")
    newer = made(tmp_path, "c") / "manifest.json"
    rewrite_as_newer(newer, 2)
    with writer(folder):
        result = run("ls", tmp_path)
    assert result.exit_code == 0
    assert line_of(result.output, "aaaaaaaa").endswith("writing")
    assert line_of(result.output, "bbbbbbbb ").rstrip().endswith("damaged")
    assert line_of(result.output, "cccccccc ").rstrip().endswith("newer")
    assert "manifest.json is damaged" in line_of(result.output, "bbbbbbbb:")
    assert line_of(result.output, "cccccccc:").endswith("reads up to 1.")


def test_ls_and_info_give_json(tmp_path: Path) -> None:
    made(tmp_path, "a", days=1)
    made(tmp_path, "b")
    content = json.loads(run("ls", tmp_path, "--json").output)
    assert [store["short_name"] for store in content["stores"]] == ["aaaaaaaa", "bbbbbbbb"]
    first = content["stores"][0]
    assert (first["rows"], first["dimension"], first["dtype"], first["writing"]) == (3, DIMENSION, "float32", False)
    assert first["counted_bytes"] == 3 * (16 + DIMENSION * 4)
    assert first["last_use"] < first["created"]
    (one,) = json.loads(run("info", tmp_path, "b", "--json").output)["stores"]
    assert one["name"] == "b" * 32 + "-float32" and len(one["parts"][0]["shards"]) == 3
    (tmp_path / "empty").mkdir()
    assert json.loads(run("ls", tmp_path / "empty", "--json").output)["stores"] == []


def test_info_shows_parts_holes_leftovers_and_readings(
    tmp_path: Path, open_for_training: Callable[[Path], EmbeddingStore]
) -> None:
    folder = made(tmp_path, "a")
    made(tmp_path, "b")
    damage(folder, 1)
    open_for_training(folder)  # sets the row aside
    (folder / "manifest.json.damaged").write_bytes(bytes(7))
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "0123.reading").write_bytes(bytes(9))
    with writer(folder):
        result = run("info", tmp_path, "a")
    assert result.exit_code == 0
    assert "a" * 64 in result.output and "b" * 32 not in result.output
    assert line_of(result.output, "vectors").split()[1:] == ["2", "of", "2048", "float32", "numbers"]
    assert line_of(result.output, "on disk").rstrip().endswith("8.0 KiB of them unused")
    assert "manifest.json.damaged (7 B)" in line_of(result.output, "leftover")
    assert "1 process now" in line_of(result.output, "writers")
    assert "yes, 3 objects claimed" in result.output
    assert "0123.reading  9 B" in result.output
    assert "b" * 64 in run("info", tmp_path).output


def test_verify_names_damaged_files_and_rows_and_changes_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path, "a")
    made(tmp_path, "b")
    assert run("verify", tmp_path).exit_code == 0
    for row in (1, 2):
        damage(folder, row)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run("verify", tmp_path)
    assert result.exit_code == 1
    assert f"{folder / 'part-0.vectors'}, rows 1 to 2: they are not what was written" in result.output
    assert line_of(result.output, "bbbbbbbb").endswith("3 rows: whole")
    assert "Nothing was changed" in result.output and "encodes them again" in result.output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert run("verify", tmp_path, "b").exit_code == 0


def test_verify_does_not_pass_what_it_cannot_read(tmp_path: Path) -> None:
    (made(tmp_path, "a") / "manifest.json").write_text("{")
    result = run("verify", tmp_path)
    assert result.exit_code == 1 and "aaaaaaaa  not checked: " in result.output


def test_prune_shows_what_would_go_and_removes_it_after_a_yes(tmp_path: Path) -> None:
    old, new = made(tmp_path, "a", days=45), made(tmp_path, "b", days=20)
    options = ("prune", tmp_path, "--older-than", "30d")
    for result in (run(*options, "--dry-run"), run(*options, answer="n\n"), run(*options, answer="\n")):
        assert "last used 45 days ago" in result.output and "Nothing was removed" in result.output
        assert old.exists()
    assert run(*options, "--dry-run").exit_code == 0
    assert run(*options, answer="n\n").exit_code == 1
    nobody = run(*options)
    assert nobody.exit_code == 1 and "Give --yes where nobody can be asked" in nobody.output and old.exists()
    result = run(*options, answer="y\n")
    assert result.exit_code == 0 and "Freed " in result.output
    assert not old.exists() and new.exists()
    assert "Nothing to remove" in run(*options).output


def test_prune_keeps_the_last_used(tmp_path: Path) -> None:
    old, new = made(tmp_path, "a", days=2), made(tmp_path, "b", days=1)
    assert run("prune", tmp_path, "--keep-last", 1, "--yes").exit_code == 0
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("options", [[], ["--damaged"]])
def test_prune_without_options_gives_back_holes_and_leftovers_and_keeps_all_stores(
    tmp_path: Path, open_for_training: Callable[[Path], EmbeddingStore], options: list[str]
) -> None:
    folder = made(tmp_path, "a", days=400)
    damage(folder, 1)
    open_for_training(folder)
    (folder / "manifest.json.damaged").touch()
    result = run("prune", tmp_path, "--yes", *options)
    assert result.exit_code == 0 and "Freed 8.0 KiB." in result.output
    assert not (folder / "manifest.json.damaged").exists()
    store = EmbeddingStore.open(folder)
    assert sorted(store.vectors[:, 0].tolist()) == [0, 2]


def test_an_age_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    made(tmp_path, "a")
    for age in ("30", "d", "-3d", "3 months"):
        result = run("prune", tmp_path, f"--older-than={age}")
        assert result.exit_code == 2 and "such as" in result.output and "12h" in result.output
    assert "Nothing to remove" in run("prune", tmp_path, "--older-than", "2w").output


def test_rm_removes_named_stores_after_a_yes_and_no_others(tmp_path: Path) -> None:
    stores = [made(tmp_path, letter) for letter in "abc"]
    assert run("rm", tmp_path, "a", "b", answer="n\n").exit_code == 1
    assert all(store.exists() for store in stores)
    assert run("rm", tmp_path, "a", "bbbbbbbb", "a", answer="y\n").exit_code == 0
    assert [store.exists() for store in stores] == [False, False, True]


def test_nothing_is_removed_while_a_process_writes_to_a_named_store(tmp_path: Path) -> None:
    one, two = made(tmp_path, "a"), made(tmp_path, "b")
    with writer(one):
        result = run("rm", tmp_path, "b", "a", "--yes")
        assert result.exit_code == 1 and "a process is writing to it. Nothing was removed" in result.output
        result = run("prune", tmp_path, "--older-than", "0h", "--yes")
        assert result.exit_code == 0 and "aaaaaaaa stays: a process is writing to it." in result.output
    assert one.exists() and not two.exists()


@pytest.mark.parametrize("command", ["ls", "info", "verify", "prune", "rm"])
def test_a_folder_without_stores_or_none_at_all_is_one_clear_sentence(tmp_path: Path, command: str) -> None:
    store = ["a"] if command == "rm" else []
    result = run(command, tmp_path, *store)
    assert result.exit_code == (0 if command in {"ls", "prune"} else 1)
    assert ("Nothing to remove" if command == "prune" else "holds no store; a training with") in result.output
    result = run(command, tmp_path / "nowhere", *store)
    assert result.exit_code == 1
    assert "nowhere; expected the one that a training got as CacheConfig(save_dir=...)" in result.output
    assert "Traceback (most" not in result.output and result.output.startswith("Error: ")


@pytest.mark.parametrize("command", ["ls", "info", "verify", "prune", "rm"])
def test_the_help_has_an_example_and_exit_codes(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: quaterion cache {command} vectors" in result.output
    assert "Exit codes: 0 done" in result.output


def test_help_imports_neither_torch_nor_the_cache() -> None:
    code = (
        "import sys; from quaterion.cli import main; sys.argv = ['quaterion', 'cache', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'filelock', 'quaterion.cache'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_info_of_token_states_does_not_call_them_vectors(tmp_path: Path) -> None:
    store = EmbeddingStore(
        fingerprint="a" * 64, dimension=4, kind="token", dtype="float16", folder=tmp_path / ("a" * 32)
    )
    store.add(np.full((5, 16), 1, np.uint8), np.ones((5, 4), np.float32))
    store.flush()
    output = run("info", tmp_path).output
    assert line_of(output, "token states").split()[2:] == ["5", "of", "4", "float16", "numbers"]
    assert line_of(output, "in ").rstrip().endswith("of keys and token states")
    assert json.loads(run("info", tmp_path, "--json").output)["stores"][0]["kind"] == "token"
