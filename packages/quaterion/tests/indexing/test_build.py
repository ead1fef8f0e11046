"""Indexes that are built, cut off, built again and replaced."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quaterion.indexing import Columns, Counts, Destination, build_index, read_corpus
from quaterion.indexing.destination import Kind
from quaterion_models.search import ExactIndex, IndexFolderError, VectorIndex, open_index

from .corpora import encoded_by, letters_model

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel", "iris", "jasmine"]
TEXTS = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS][:600]
KINDS: list[Kind] = ["exact", "faiss", "qdrant"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return written(tmp_path / "data.csv", TEXTS)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    wanted: Kind = request.param
    if wanted != "exact":
        pytest.importorskip({"faiss": "faiss", "qdrant": "qdrant_client"}[wanted])
    return wanted


def written(path: Path, texts: Iterable[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "length"), *((text, len(text)) for text in texts)])
    return path


def started(data: Path, kind: str, folder: Path, rebuild: str = "no", size: int = 26) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.indexing.corpora", str(data), kind, str(folder), rebuild, str(size)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def killed_after(process: "subprocess.Popen[str]", objects: int) -> None:
    assert process.stdout is not None
    while objects > 0:
        line = process.stdout.readline()
        assert line.strip().isdecimal(), line
        objects -= int(line)
    process.kill()
    assert process.wait() != 0
    process.stdout.close()


def contents(folder: Path) -> list[tuple[Any, ...]]:
    """All objects with their cosines to two queries."""
    index = open_index(folder)
    queries = letters_model(index.dimension).encode(["apple cherry", "zebra"])
    hits = index.search(queries, k=len(index) + 10)
    closed(index)
    scores = [{hit.id: hit.score for hit in one} for one in hits]
    return sorted((hit.id, str(hit.payload), *(round(one[hit.id], 5) for one in scores)) for hit in hits[0])


def closed(index: VectorIndex) -> None:
    if hasattr(index, "close"):
        index.close()


def test_the_index_holds_each_text_with_its_vector_and_its_fields(tmp_path: Path, data: Path, kind: Kind) -> None:
    model = letters_model()
    counts = build_index(model, read_corpus(data, numbers=["length"]), Destination(str(tmp_path / "index"), kind))
    assert counts == Counts(encoded=600, changed=0, present=0, size=600)
    index = open_index(tmp_path / "index")
    best = index.search(model.encode_query([TEXTS[7]]), k=1, filter={"length": {"gte": len(TEXTS[7])}})[0][0]
    assert best.payload["text"] in TEXTS
    assert sorted(best.payload["text"]) == sorted(TEXTS[7])
    assert best.score == pytest.approx(1)
    assert best.payload["length"] == len(TEXTS[7])
    closed(index)


def test_the_same_data_again_encodes_nothing_and_new_rows_alone_are_added(tmp_path: Path, kind: Kind) -> None:
    place = Destination(str(tmp_path / "index"), kind)
    build_index(letters_model(), read_corpus(written(tmp_path / "data.csv", TEXTS[:500])), place)
    again = letters_model()
    progress: list[int] = []
    same = build_index(again, read_corpus(tmp_path / "data.csv"), place, progress=progress.append)
    assert same == Counts(encoded=0, changed=0, present=500, size=500)
    assert encoded_by(again) == 0
    assert sum(progress) == 500
    # Rows that went stay, those that came are added.
    more = build_index(again, read_corpus(written(tmp_path / "data.csv", TEXTS[100:600])), place)
    assert more == Counts(encoded=100, changed=0, present=400, size=600)
    assert encoded_by(again) == 100


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(1, 200), (590,)])
def test_killed_and_run_again_it_equals_one_that_was_never_interrupted(
    tmp_path: Path, data: Path, kind: Kind, moments: tuple[int, ...]
) -> None:
    for moment in moments:
        killed_after(started(data, kind, tmp_path / "killed"), moment)
        if moment > 1:  # what is there can be searched
            index = open_index(tmp_path / "killed")
            assert len(index) <= 600
            closed(index)
    model = letters_model()
    counts = build_index(model, read_corpus(data), Destination(str(tmp_path / "killed"), kind), batch_size=4)
    assert counts.size == 600
    assert counts.encoded + counts.present == 600
    # What was saved is not encoded again; saves are some tenths of a second apart here.
    assert counts.present > 0
    build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "whole"), kind), batch_size=4)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len({one[0] for one in contents(tmp_path / "killed")}) == 600


def test_another_model_is_refused_until_the_index_is_made_again(tmp_path: Path, data: Path, kind: Kind) -> None:
    place = Destination(str(tmp_path / "index"), kind)
    build_index(letters_model(), read_corpus(data), place, name="first")
    before = contents(tmp_path / "index")
    with pytest.raises(ValueError, match=r"holds vectors of 26 numbers, and the model makes 20.*--rebuild"):
        build_index(letters_model(20), read_corpus(data), place)
    assert contents(tmp_path / "index") == before
    counts = build_index(letters_model(20), read_corpus(data), place, rebuild=True)
    assert counts == Counts(encoded=600, changed=0, present=0, size=600)
    index = open_index(tmp_path / "index")
    assert (index.dimension, len(index)) == (20, 600)
    closed(index)
    assert [path.name for path in tmp_path.iterdir() if "rebuild" in path.name] == []


@pytest.mark.slow
def test_a_rebuild_that_is_killed_leaves_the_old_index_and_goes_on(tmp_path: Path, data: Path, kind: Kind) -> None:
    folder = tmp_path / "index"
    build_index(letters_model(), read_corpus(data), Destination(str(folder), kind))
    before = contents(folder)
    killed_after(started(data, kind, folder, "rebuild", size=20), 300)
    assert contents(folder) == before
    counts = build_index(letters_model(20), read_corpus(data), Destination(str(folder), kind), rebuild=True)
    assert counts.present > 0
    assert (counts.encoded + counts.present, counts.size) == (600, 600)
    index = open_index(folder)
    assert (index.dimension, len(index)) == (20, 600)
    closed(index)


def test_a_rebuild_keeps_the_kind_and_leaves_out_what_the_data_no_longer_has(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("faiss")
    folder = tmp_path / "index"
    build_index(letters_model(), read_corpus(data), Destination(str(folder), "faiss", "HNSW16"))
    some = read_corpus(written(tmp_path / "some.csv", TEXTS[:40]))
    counts = build_index(letters_model(), some, Destination(str(folder)), rebuild=True)
    assert counts == Counts(encoded=40, changed=0, present=0, size=40)
    content = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert (content["kind"], content["factory"]) == ("faiss", "HNSW16")


def test_a_rebuild_does_not_replace_a_collection_of_another_program(tmp_path: Path, data: Path) -> None:
    qdrant = pytest.importorskip("qdrant_client")
    client = qdrant.QdrantClient(path=str(tmp_path / "index"))
    client.create_collection("quaterion", vectors_config=qdrant.models.VectorParams(size=3, distance="Cosine"))
    client.close()
    model = letters_model()
    with pytest.raises(IndexFolderError, match="was not made by a QdrantIndex"):
        build_index(model, read_corpus(data), Destination(str(tmp_path / "index")), rebuild=True)
    assert encoded_by(model) == 0


def test_a_rebuild_of_a_third_model_does_not_go_on_with_what_the_second_has_left(tmp_path: Path, data: Path) -> None:
    place = Destination(str(tmp_path / "index"))
    columns = Columns("text", None, ("length",)).as_json()
    stale = place.beside().create(20, {"model": "", "fingerprint": "of the second", "columns": columns})
    stale.add(["stale"], np.ones((1, 20)))
    stale.save(place.beside().location)
    assert build_index(letters_model(), read_corpus(data), place, rebuild=True).size == 600


def test_a_row_with_a_known_id_and_other_content_takes_the_place_of_the_old_one(tmp_path: Path, kind: Kind) -> None:
    place = Destination(str(tmp_path / "index"), kind)
    rows = [{"text": text, "number": number} for number, text in enumerate(TEXTS[:50])]
    build_index(letters_model(), read_corpus(rows, id="number"), place)
    rows[3] = {"text": "zzz", "number": 3}
    model = letters_model()
    counts = build_index(model, read_corpus(rows, id="number"), place)
    assert counts == Counts(encoded=1, changed=1, present=49, size=50)
    index = open_index(tmp_path / "index")
    best = index.search(model.encode_query(["z"]), k=1)[0][0]
    assert (best.id, best.payload) == (3, {"text": "zzz"})
    assert best.score == pytest.approx(1)
    closed(index)


def test_other_columns_and_a_strange_folder_are_refused(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "index"
    build_index(letters_model(), read_corpus(data), Destination(str(folder)))
    with pytest.raises(ValueError, match=r"made with other columns: text text, fields \['length'\], and not text text"):
        build_index(letters_model(), read_corpus(data, fields=[]), Destination(str(folder)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine", encoding="utf-8")
    for rebuild in (False, True):
        model = letters_model()
        with pytest.raises(IndexFolderError, match="holds files but no index"):
            build_index(model, read_corpus(data), Destination(str(tmp_path / "mine")), rebuild=rebuild)
        assert encoded_by(model) == 0
    assert (tmp_path / "mine" / "letter.txt").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "mine-rebuild").exists()


def test_an_index_of_other_programs_is_not_added_to(tmp_path: Path, data: Path) -> None:
    ExactIndex(26).save(tmp_path / "index")
    with pytest.raises(ValueError, match="made with other columns: unknown ones, by another program"):
        build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "index")))
