"""Indexes that are built, cut off, built again and replaced."""

import csv
import importlib.util
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
from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.search import ExactIndex, IndexFolderError, VectorIndex, open_index

from .corpora import encoded_by, letters_model

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape", "hazel", "iris", "jasmine"]
# Few: Qdrant's folders wait for the disk at each.
TEXTS = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS][
    :96
]  # Qdrant waits for the disk at each
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


def contents(folder: Path | str) -> list[tuple[Any, ...]]:
    """All objects with their cosines to two queries, by their ids."""
    index = open_index(folder)
    queries = letters_model(index.dimension).encode(["apple cherry", "zebra"])
    hits = index.search(queries, k=len(index) + 10)
    closed(index)
    scores = [{hit.id: hit.score for hit in one} for one in hits]
    return sorted((hit.id, str(hit.payload), *(one[hit.id] for one in scores)) for hit in hits[0])


def assert_same(found: Path | str, expected: Path | str) -> None:
    """Compares two indexes; cosines may differ by rounding."""
    one, other = contents(found), contents(expected)
    assert [row[:2] for row in one] == [row[:2] for row in other]
    np.testing.assert_allclose([row[2:] for row in one], [row[2:] for row in other], atol=1e-6)


def closed(index: VectorIndex) -> None:
    if hasattr(index, "close"):
        index.close()


def test_the_index_holds_each_text_with_its_vector_and_its_fields(tmp_path: Path, data: Path, kind: Kind) -> None:
    model = letters_model()
    counts = build_index(model, read_corpus(data, numbers=["length"]), Destination(str(tmp_path / "index"), kind))
    assert counts == Counts(encoded=96, changed=0, present=0, size=96)
    index = open_index(tmp_path / "index")
    best = index.search(model.encode_query([TEXTS[7]]), k=1, filter={"length": {"gte": len(TEXTS[7])}})[0][0]
    assert best.payload["text"] in TEXTS
    assert sorted(best.payload["text"]) == sorted(TEXTS[7])
    assert best.score == pytest.approx(1)
    assert best.payload["length"] == len(TEXTS[7])
    closed(index)


def test_the_same_data_again_encodes_nothing_and_new_rows_alone_are_added(tmp_path: Path, kind: Kind) -> None:
    place = Destination(str(tmp_path / "index"), kind)
    build_index(letters_model(), read_corpus(written(tmp_path / "data.csv", TEXTS[:72])), place)
    again = letters_model()
    progress: list[int] = []
    same = build_index(again, read_corpus(tmp_path / "data.csv"), place, progress=progress.append)
    assert same == Counts(encoded=0, changed=0, present=72, size=72)
    assert encoded_by(again) == 0
    assert sum(progress) == 72
    # Rows that went stay, those that came are added.
    more = build_index(again, read_corpus(written(tmp_path / "data.csv", TEXTS[24:96])), place)
    assert more == Counts(encoded=24, changed=0, present=48, size=96)
    assert encoded_by(again) == 24


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(1, 40), (90,)])
def test_killed_and_run_again_it_equals_one_that_was_never_interrupted(
    tmp_path: Path, data: Path, kind: Kind, moments: tuple[int, ...]
) -> None:
    for moment in moments:
        killed_after(started(data, kind, tmp_path / "killed"), moment)
        if moment > 1:  # what is there can be searched
            index = open_index(tmp_path / "killed")
            assert len(index) <= 96
            closed(index)
    model = letters_model()
    counts = build_index(model, read_corpus(data), Destination(str(tmp_path / "killed"), kind), batch_size=1)
    assert counts.size == 96
    assert counts.encoded + counts.present == 96
    # What was saved is not encoded again; saves are some tenths of a second apart here.
    assert counts.present > 0
    build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "whole"), kind), batch_size=1)
    assert_same(tmp_path / "killed", tmp_path / "whole")
    assert len({one[0] for one in contents(tmp_path / "killed")}) == 96


def test_another_model_is_refused_until_the_index_is_made_again(tmp_path: Path, data: Path, kind: Kind) -> None:
    place = Destination(str(tmp_path / "index"), kind)
    build_index(letters_model(), read_corpus(data), place, name="first")
    before = contents(tmp_path / "index")
    with pytest.raises(ValueError, match=r"holds vectors of 26 numbers, and the model makes 20.*--rebuild"):
        build_index(letters_model(20), read_corpus(data), place)
    assert contents(tmp_path / "index") == before
    counts = build_index(letters_model(20), read_corpus(data), place, rebuild=True)
    assert counts == Counts(encoded=96, changed=0, present=0, size=96)
    index = open_index(tmp_path / "index")
    assert (index.dimension, len(index)) == (20, 96)
    closed(index)
    assert [path.name for path in tmp_path.iterdir() if "rebuild" in path.name] == []


@pytest.mark.slow
def test_a_rebuild_that_is_killed_leaves_the_old_index_and_goes_on(tmp_path: Path, data: Path, kind: Kind) -> None:
    folder = tmp_path / "index"
    build_index(letters_model(), read_corpus(data), Destination(str(folder), kind))
    before = contents(folder)
    killed_after(started(data, kind, folder, "rebuild", size=20), 60)
    assert contents(folder) == before
    # Once more, when everything was encoded and the new index takes the place of the old one.
    killed_after(started(data, kind, folder, "rebuild", size=20), 96)
    counts = build_index(letters_model(20), read_corpus(data), Destination(str(folder), kind), rebuild=True)
    assert counts.present > 0
    assert (counts.encoded + counts.present, counts.size) == (96, 96)
    build_index(letters_model(20), read_corpus(data), Destination(str(tmp_path / "whole"), kind))
    assert_same(folder, tmp_path / "whole")
    assert not (tmp_path / "index-rebuild").exists()


def test_a_removal_that_is_cut_off_leaves_no_index(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Destination(str(tmp_path / "index"))
    build_index(letters_model(), read_corpus(data), place)

    def remove_some(folder: Path) -> None:
        next(folder.glob("vectors-*.npy")).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", remove_some)
    with pytest.raises(KeyboardInterrupt):
        build_index(letters_model(20), read_corpus(data), place, rebuild=True)
    monkeypatch.undo()
    assert open_index(place.location).dimension == 20
    assert build_index(letters_model(), read_corpus(data), place, rebuild=True).encoded == 96
    assert not (tmp_path / "index-rebuild").exists()


def test_a_rebuild_beside_an_index_of_the_user_stops_before_it_takes_its_name(tmp_path: Path, data: Path) -> None:
    for name in ("index", "index-rebuild"):
        build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / name)))
    before = contents(tmp_path / "index-rebuild")
    with pytest.raises(ValueError, match="index-rebuild is in the way: .* holds an index that none has left"):
        build_index(letters_model(20), read_corpus(data), Destination(str(tmp_path / "index")), rebuild=True)
    assert contents(tmp_path / "index-rebuild") == before


@pytest.mark.parametrize("place", [".", "../index", "./"])
def test_a_rebuild_of_this_folder_is_made_beside_it(
    tmp_path: Path, data: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index").mkdir()
    monkeypatch.chdir(tmp_path / "index")
    assert Destination(place).beside().location == str(tmp_path / "index-rebuild")
    for size in (26, 20):
        assert build_index(letters_model(size), read_corpus(data), Destination(place), rebuild=True).size == 96
    assert open_index(tmp_path / "index").dimension == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "index"]


def test_another_factory_is_refused_until_the_index_is_made_again(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("faiss")
    folder = str(tmp_path / "index")
    build_index(letters_model(), read_corpus(data), Destination(folder, "faiss"))
    with pytest.raises(ValueError, match=r"was made with the factory 'Flat', and not 'HNSW16'.*--rebuild"):
        build_index(letters_model(), read_corpus(data), Destination(folder, "faiss", "HNSW16"))
    # An interrupted rebuild of another factory, and one of another kind, are not gone on with.
    for left in (Destination(folder, "faiss", "SQ8"), Destination(folder, "exact")):
        about = {**open_index(folder).about, "rebuilt_of": read_corpus(data).digest()}
        left.beside().create(26, about)
        counts = build_index(letters_model(), read_corpus(data), Destination(folder, "faiss", "HNSW16"), rebuild=True)
        assert counts.encoded == 96
    assert json.loads((tmp_path / "index" / "index.json").read_text(encoding="utf-8"))["factory"] == "HNSW16"
    build_index(letters_model(), read_corpus(data), Destination(folder, "faiss"), rebuild=True)
    assert json.loads((tmp_path / "index" / "index.json").read_text(encoding="utf-8"))["factory"] == "Flat"


def test_qdrant_does_not_take_the_place_of_files(tmp_path: Path, data: Path) -> None:
    build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "index")))
    before = contents(tmp_path / "index")
    with pytest.raises(ValueError, match="holds an index of another kind than qdrant"):
        build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "index"), "qdrant"), rebuild=True)
    assert contents(tmp_path / "index") == before


def test_an_object_that_is_no_text_and_has_changed_is_encoded_again(tmp_path: Path) -> None:
    model, place = SimilarityModel(VectorEncoder(2), EmptyHead(2)), Destination(str(tmp_path / "index"))
    rows: list[dict[str, Any]] = [{"number": 1, "vector": [1.0, 0.0]}, {"number": 2, "vector": [0.0, 1.0]}]
    build_index(model, read_corpus(rows, text="vector", id="number"), place)
    rows[0]["vector"] = [0.0, -1.0]
    counts = build_index(model, read_corpus(rows, text="vector", id="number"), place)
    assert counts == Counts(encoded=1, changed=1, present=1, size=2)
    assert [hit.score for hit in open_index(tmp_path / "index").search([[0.0, -1.0]])[0]] == [1.0, -1.0]


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_server_holds_what_a_folder_would(tmp_path: Path, data: Path, rebuild: bool) -> None:
    pytest.importorskip("qdrant_client")
    path = Path(__file__).parents[3] / "quaterion-models" / "tests" / "search" / "qdrant_server.py"
    spec = importlib.util.spec_from_file_location("qdrant_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build_index(letters_model(), read_corpus(data), Destination(str(tmp_path / "whole")))
    with module.qdrant_server() as url:
        if rebuild:
            build_index(letters_model(20), read_corpus(data), Destination(url))
            with pytest.raises(ValueError, match=f"{url} holds vectors of 20 numbers, and the model makes 26"):
                build_index(letters_model(), read_corpus(data), Destination(url))
        counts = build_index(letters_model(), read_corpus(data), Destination(url), rebuild=rebuild)
        assert counts == Counts(encoded=96, changed=0, present=0, size=96)
        again = build_index(letters_model(), read_corpus(data), Destination(url))
        assert again == Counts(encoded=0, changed=0, present=96, size=96)
        assert_same(url, tmp_path / "whole")


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
    about = {"model": "", "fingerprint": "of the second", "columns": columns, "rebuilt_of": "the same"}
    stale = place.beside().create(20, about)
    stale.add(["stale"], np.ones((1, 20)))
    stale.save(place.beside().location)
    assert build_index(letters_model(), read_corpus(data), place, rebuild=True).size == 96


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
