import json
import sys

import numpy as np
import pytest

from quaterion_models.file_digest import file_digest
from quaterion_models.search import ExactIndex, FaissIndex, IndexFolderError, open_index

faiss = pytest.importorskip("faiss")

ROWS, DIMENSION = 2000, 16
FACTORIES = ["HNSW16", "IVF8,Flat", "SQ8", "HNSW16_SQ8", "IVF8,SQ8"]


def vectors(rows=ROWS, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((20, DIMENSION))[random.integers(20, size=rows)] + random.standard_normal(
        (rows, DIMENSION)
    )


def filled(index):
    index.add(list(range(ROWS)), vectors(), [{"group": row % 10, "part": row % 500} for row in range(ROWS)])
    return index


def recall(found, expected):
    return np.mean(
        [len({hit.id for hit in a} & {hit.id for hit in b}) / len(b) for a, b in zip(found, expected, strict=True)]
    )


@pytest.fixture(scope="module")
def exact():
    return filled(ExactIndex(DIMENSION))


@pytest.mark.parametrize("factory", FACTORIES)
def test_graphs_lists_and_compressed_vectors_find_nearly_all_with_exact_scores(factory, exact):
    index, queries = filled(FaissIndex(DIMENSION, factory)), vectors(30, seed=1)
    for wanted in (None, {"group": [1, 2, 3]}, {"part": 7}):
        found, expected = index.search(queries, 10, wanted), exact.search(queries, 10, wanted)
        assert recall(found, expected) > 0.95
        scores = {hit.id: hit.score for hits in exact.search(queries[:1], ROWS) for hit in hits}
        assert all(hit.score == scores[hit.id] for hit in found[0])
        assert all(len(hits) == len(best) for hits, best in zip(found, expected, strict=True))


def test_flat_finds_what_the_exact_index_finds_to_the_last_digit(exact):
    queries = vectors(50, seed=2)
    index = filled(FaissIndex(DIMENSION))
    assert index.search(queries, 20) == exact.search(queries, 20)
    assert index.search(queries, 20, {"group": [0, 5]}) == exact.search(queries, 20, {"group": [0, 5]})


@pytest.mark.parametrize("factory", ["Flat", *FACTORIES])
def test_objects_are_found_before_faiss_has_them_and_deleted_ones_are_not(factory):
    index = filled(FaissIndex(DIMENSION, factory))
    new = vectors(5, seed=3)
    index.search(new)  # faiss has all others from here on
    index.add([f"new {row}" for row in range(5)], new)
    assert [hits[0].id for hits in index.search(new, 1)] == [f"new {row}" for row in range(5)]
    index.delete(["new 3", *range(0, ROWS, 2)])
    found = index.search(new, 50)
    assert [hits[0].id for hits in found[:3]] == ["new 0", "new 1", "new 2"]
    assert all(hit.id != "new 3" and (isinstance(hit.id, str) or hit.id % 2) for hits in found for hit in hits)
    assert all(len(hits) == 50 for hits in found)


@pytest.mark.parametrize("factory", ["Flat", *FACTORIES])
def test_what_faiss_built_is_read_again_where_that_is_quicker(factory, tmp_path):
    index, queries = filled(FaissIndex(DIMENSION, factory, effort=40)), vectors(10, seed=4)
    expected = index.search(queries)
    index.save(tmp_path)
    assert len(list(tmp_path.glob("ann-*.faiss"))) == (factory != "Flat")
    loaded = open_index(tmp_path)
    assert isinstance(loaded, FaissIndex)
    assert loaded.search(queries) == expected
    content = json.loads((tmp_path / "index.json").read_text())
    assert (content["factory"], content["effort"]) == (factory, 40)


def test_the_graph_is_written_again_when_a_tenth_is_new_and_grows(tmp_path):
    index = filled(FaissIndex(DIMENSION, "HNSW16"))
    index.save(tmp_path)
    first = list(tmp_path.glob("ann-*"))
    index.add(["a"], vectors(1, seed=5))
    index.save(tmp_path)
    assert list(tmp_path.glob("ann-*")) == first
    index = FaissIndex.load(tmp_path)
    assert index.search(vectors(1, seed=5), 1)[0][0].id == "a"
    index.add([f"b {row}" for row in range(300)], vectors(300, seed=6))
    index.save(tmp_path)
    second = list(tmp_path.glob("ann-*"))
    assert len(second) == 1
    assert second != first
    assert faiss.read_index(str(second[0])).ntotal == ROWS + 301


def test_a_graph_is_built_again_when_deleted_rows_are_dropped(tmp_path, exact):
    index, queries = filled(FaissIndex(DIMENSION, "HNSW16")), vectors(10, seed=7)
    index.save(tmp_path)
    index.delete(range(1200))
    index.save(tmp_path)
    expected = [[hit for hit in hits if hit.id >= 1200][:5] for hits in exact.search(queries, ROWS)]
    for one in (index, FaissIndex.load(tmp_path)):
        assert recall(one.search(queries, 5), expected) > 0.95


def test_more_effort_finds_more(exact):
    queries = vectors(50, seed=8)
    expected = exact.search(queries)
    little, much = (filled(FaissIndex(DIMENSION, "IVF32,Flat", effort=effort)) for effort in (1, 32))
    assert recall(little.search(queries), expected) < 0.9
    assert recall(much.search(queries), expected) == 1


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("NSW", "faiss cannot build 'NSW' of dimension 16"),
        (7, "faiss cannot build 7 of dimension 16"),
        ("PCA8,Flat", "makes a IndexPreTransform, expected one that faiss searches among some of its vectors"),
    ],
)
def test_a_factory_that_cannot_be_searched_is_refused(factory, message):
    with pytest.raises(ValueError, match=message):
        FaissIndex(DIMENSION, factory)


@pytest.mark.parametrize("effort", [0, 1.5, True, None])
def test_effort_must_be_a_positive_integer(effort):
    with pytest.raises(ValueError, match="effort must be an integer of 1 or more, got"):
        FaissIndex(DIMENSION, "HNSW16", effort=effort)


# 39 for each of 64 lists; 39 for each of 8 lists, but also for each of the 16 centroids of 4 bits.
@pytest.mark.parametrize(("factory", "few"), [("IVF64,Flat", 39 * 64 - 1), ("IVF8,PQ4x4", 39 * 16 - 1)])
def test_too_few_objects_to_train_with_are_compared_one_by_one_and_can_be_saved(factory, few, tmp_path):
    rows, queries = vectors(3000, seed=9), vectors(5, seed=10)
    index, exact = FaissIndex(DIMENSION, factory), ExactIndex(DIMENSION)
    for one in (index, exact):
        one.add(list(range(few)), rows[:few])
    index.save(tmp_path)
    assert index.search(queries) == exact.search(queries) == FaissIndex.load(tmp_path).search(queries)
    assert not list(tmp_path.glob("ann-*"))
    index.add(list(range(few, 3000)), rows[few:])
    index.save(tmp_path)
    assert faiss.read_index(str(next(tmp_path.glob("ann-*")))).ntotal == 3000
    assert [hits[0].id for hits in FaissIndex.load(tmp_path).search(rows[:20], 1)] == list(range(20))


def test_without_faiss_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r'faiss is not installed. Type: pip install "quaterion-models\[faiss\]"'):
        FaissIndex(2)


def damage(folder, write):
    """Lets a stranger write what faiss is to read, with a digest that fits."""
    content = json.loads((folder / "index.json").read_text())
    path = folder / content["ann"]["name"]
    write(path)
    content["ann"]["digest"] = file_digest(path)
    (folder / "index.json").write_text(json.dumps(content))


def other(factory, rows=ROWS, dimension=DIMENSION, metric=faiss.METRIC_INNER_PRODUCT):
    index = faiss.index_factory(dimension, factory, metric)
    index.add(np.zeros((rows, dimension), np.float32))
    return lambda path: faiss.write_index(index, str(path))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "cannot be read by faiss"),
        (lambda path: path.write_bytes(b"nothing"), "cannot be read by faiss"),
        (other("Flat"), "is not what index.json says of it"),
        (other("HNSW16", rows=ROWS + 1), "is not what index.json says of it"),
        (other("HNSW16", dimension=8), "is not what index.json says of it"),
        (other("HNSW16", metric=faiss.METRIC_L2), "is not what index.json says of it"),
    ],
)
def test_what_faiss_did_not_build_for_these_objects_is_refused(tmp_path, write, message):
    filled(FaissIndex(DIMENSION, "HNSW16")).save(tmp_path)
    damage(tmp_path, write)
    with pytest.raises(IndexFolderError, match=message):
        FaissIndex.load(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("factory", 7), ("effort", "much")])
def test_an_index_json_without_what_faiss_needs_is_refused(tmp_path, name, value):
    filled(FaissIndex(DIMENSION)).save(tmp_path)
    content = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(content | {name: value}))
    with pytest.raises(IndexFolderError, match=f"'{name}' must be"):
        FaissIndex.load(tmp_path)
