"""The corpus is large, clean, the same in every run, and split without leaks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quaterion.demo import corpus, walker
from quaterion.demo.corpus import Entry, count_modules, read_standard_library, split_entries


def entry(name: str, description: str = "", kind: str = "function", signature: str = "()") -> Entry:
    return Entry(name, kind, signature, description or f"Does what {name} says.")


def test_the_library_gives_thousands_of_distinct_entries(library: list[Entry]) -> None:
    assert 2_500 < len(library) < 4_500  # about 3,500 on CPython 3.11; other versions differ by some hundreds
    assert len({one.name for one in library}) == len(library)
    assert {one.kind for one in library} == {"function", "class", "method"}


@pytest.mark.parametrize(
    "name",
    ["sorted", "str.split", "os.path.exists", "shutil.rmtree", "asyncio.Queue.put", "heapq.nlargest", "math.sqrt"],
)
def test_well_known_objects_are_there_under_the_name_they_are_called_by(library: list[Entry], name: str) -> None:
    assert name in {one.name for one in library}


def test_descriptions_are_one_line_of_25_to_400_characters(library: list[Entry]) -> None:
    assert all(25 <= len(one.description) <= 400 for one in library)
    assert not [one for one in library if "\n" in one.description or one.description != one.description.strip()]


def test_nothing_private_and_no_memory_address_or_local_path_is_in_it(library: list[Entry]) -> None:
    assert not [one.name for one in library if re.search(r"(^|\.)_", one.name)]
    assert not [one.call for one in library if re.search(r" at 0x|<.* object", one.call)]
    assert not [one.call for one in library if str(Path(sys.base_prefix)) in one.call]


def test_no_object_has_the_description_of_another_of_its_name(library: list[Entry]) -> None:
    told = [(one.name.rpartition(".")[2], one.description) for one in library]
    assert len(set(told)) == len(told)


@pytest.mark.slow
def test_a_process_with_another_hash_seed_reads_and_splits_the_same(library: list[Entry]) -> None:
    code = (
        "import json; from quaterion.demo.corpus import read_standard_library, split_entries; "
        "entries = read_standard_library(); "
        "print(json.dumps([[[e.text, e.description] for e in entries], split_entries(entries).test]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    texts, test = json.loads(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True))
    assert texts == [[one.text, one.description] for one in library]
    assert test == split_entries(library).test


def test_reading_leaves_this_process_and_its_output_alone(capfd: pytest.CaptureFixture[str]) -> None:
    modules = set(sys.modules)
    calls: list[None] = []
    read_standard_library(lambda: calls.append(None))
    assert len(calls) == count_modules()
    assert set(sys.modules) == modules
    assert capfd.readouterr() == ("", "")


WALKER = """
import json, os, sys
skipped = sys.argv[1:]
for name in ["good", "deadly", "better"]:
    if name in skipped:
        continue
    print(json.dumps(["module", name]), flush=True)
    if name == "deadly":
        print("Fatal Python error: it hangs", flush=True)
        os._exit(139)
print(json.dumps(["entry", "good.work", "function", "()", "Works on modules that are good."]), flush=True)
print(json.dumps(["end"]), flush=True)
"""


def test_a_module_that_ends_the_interpreter_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "walker.py"
    script.write_text(WALKER)
    monkeypatch.setattr(walker, "__file__", str(script))
    assert [one.name for one in read_standard_library()] == ["good.work"]


def test_a_walk_that_never_ends_well_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "walker.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(corpus.walker, "__file__", str(script))
    with pytest.raises(RuntimeError, match="ended early 5 times.*To see why, run"):
        read_standard_library()


def test_an_entry_reads_as_words_kind_and_signature() -> None:
    assert entry("a.HTTPServer.serve_forever", kind="method").text == (
        "serve forever (method): a.HTTPServer.serve_forever()"
    )
    assert entry("http.server.HTTPServer", kind="class").text.startswith("http server (class): ")
    assert entry("sorted", signature="(iterable, /)").text == "sorted (function): sorted(iterable, /)"


def test_a_split_has_the_wanted_sizes_and_every_entry_once() -> None:
    entries = [entry(f"m.f{i}") for i in range(1000)]
    split = split_entries(entries, test=0.2, validation=0.1)
    assert (len(split.train), len(split.validation), len(split.test)) == (720, 80, 200)
    assert sorted(split.train + split.validation + split.test) == list(range(1000))


def test_a_split_is_the_same_for_one_seed_and_another_for_another() -> None:
    entries = [entry(f"m.f{i}") for i in range(200)]
    assert split_entries(entries, seed=3) == split_entries(entries, seed=3)
    assert split_entries(entries, seed=3).test != split_entries(entries, seed=4).test


def test_entries_of_equal_description_or_text_are_never_on_two_sides_of_the_split() -> None:
    # Chains: 3i shares its description with 3i+1, which shares its text with 3i+2.
    entries = [
        one
        for i in range(100)
        for one in (
            entry(f"a.f{i}", f"Does what a and b do with {i}."),
            entry(f"b.f{i}", f"Does what a and b do with {i}."),
            entry(f"b.f{i}", f"Does something else with {i}."),
        )
    ]
    split = split_entries(entries)
    parts = [{number // 3 for number in part} for part in (split.train, split.validation, split.test)]
    assert parts[0].isdisjoint(parts[1] | parts[2])
    assert parts[1].isdisjoint(parts[2])
    assert sum(map(len, parts)) == 100


def test_the_library_is_split_without_leaks(library: list[Entry]) -> None:
    split = split_entries(library)
    texts = [
        {library[i].description for i in part} | {library[i].text for i in part}
        for part in (split.train, split.validation, split.test)
    ]
    assert texts[0].isdisjoint(texts[1] | texts[2])
    assert texts[1].isdisjoint(texts[2])
    assert len(split.test) == pytest.approx(0.2 * len(library), abs=5)


def test_too_few_entries_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 entries are too few.*expected 20 or more"):
        split_entries([entry("a.b"), entry("a.c")])
