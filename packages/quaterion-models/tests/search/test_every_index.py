"""What every index has to do, compared with plain loops."""

import json
import math
import os
from contextlib import ExitStack

import numpy as np
import pytest

from quaterion_models.search import ExactIndex, FaissIndex, Hit, QdrantIndex, open_index

ROWS, DIMENSION = 120, 8
WORDS = ["en", "de", "fr"]


def exact(dimension, folder, stack, **options):
    return ExactIndex(dimension, **options)


def faiss(dimension, folder, stack, **options):
    pytest.importorskip("faiss")
    return FaissIndex(dimension, **options)


def qdrant(dimension, folder, stack, **options):
    return opened(":memory:", dimension, stack, **options)


def qdrant_folder(dimension, folder, stack, **options):
    return opened(folder / "qdrant", dimension, stack, **options)


def qdrant_url(dimension, folder, stack, **options):
    """On the server at $QDRANT_URL, or one that speaks like it."""
    pytest.importorskip("qdrant_client")
    from .qdrant_server import qdrant_server

    url = os.environ.get("QDRANT_URL") or stack.enter_context(qdrant_server())
    return opened(url, dimension, stack, replace=True, **options)


def opened(location, dimension, stack, **options):
    pytest.importorskip("qdrant_client")
    index = QdrantIndex(location, dimension, **options)
    stack.callback(index.close)
    return index


@pytest.fixture(params=[exact, faiss, qdrant, qdrant_folder, qdrant_url], ids=lambda one: one.__name__)
def make(request, tmp_path):
    """Makes an index of each kind."""
    with ExitStack() as stack:
        yield lambda dimension=DIMENSION, **options: request.param(dimension, tmp_path, stack, **options)


def orders_ties(index):
    return not isinstance(index, QdrantIndex)


def closed(index):
    if isinstance(index, QdrantIndex):
        index.close()


def reloaded(index, folder):
    """The index as the next process finds it, where there may be only one at a time."""
    index.save(folder)
    closed(index)
    return type(index).load(folder)


def vectors(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)


def objects(rows=ROWS):
    """Ids of both types, vectors, and payloads of all shapes."""
    ids = [row if row % 3 == 0 else f"id {row}" for row in range(rows)]
    payloads = [
        {
            "lang": WORDS[row % 3],
            "year": 1990 + row % 30,
            "price": row / 4,
            "tags": [f"t{row % 5}", row % 7, row % 2 == 0],
        }
        for row in range(rows)
    ]
    return ids, vectors(rows), payloads


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    dot, a2, b2 = (math.fsum(u * v) for u, v in ((a, b), (a, a), (b, b)))
    return dot / math.sqrt(a2 * b2) if a2 * b2 else 0.0


def brute_force(query, ids, rows, k, accepts=lambda row: True):
    """Ids and cosines of the most similar, of equal ones the first."""
    scored = [(-cosine(query, rows[row]), row) for row in range(len(ids)) if accepts(row)]
    return [(ids[row], -score) for score, row in sorted(scored)[:k]]


def check(found, expected):
    """Compares hits with ids and cosines that have no ties."""
    assert [hit.id for hit in found] == [name for name, _ in expected]
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def same(found, expected):
    """Compares hits but for the last digits of scores, which Qdrant computes anew."""
    for one, other in zip(found, expected, strict=True):
        assert [(hit.id, hit.payload) for hit in one] == [(hit.id, hit.payload) for hit in other]
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=1e-6)


def test_the_most_similar_are_found_with_their_scores_and_payloads(make):
    index, (ids, rows, payloads), queries = make(), objects(), vectors(7, seed=1)
    index.add(ids, rows, payloads)
    assert len(index) == ROWS
    for k in (1, 10, ROWS, ROWS + 5):
        for query, found in zip(queries, index.search(queries, k), strict=True):
            check(found, brute_force(query, ids, rows, k))
    found = index.search(queries[:1], 3)[0]
    assert all(isinstance(hit, Hit) for hit in found)
    assert [hit.payload for hit in found] == [payloads[ids.index(hit.id)] for hit in found]


def test_similarities_may_be_negative(make):
    index, rows = make(), vectors(50)
    rows[:, 0] = np.abs(rows[:, 0])
    index.add(list(range(50)), rows)
    query = np.array([-1.0] + [0.0] * (DIMENSION - 1))
    found = index.search([query], 5)[0]
    check(found, brute_force(query, list(range(50)), rows, 5))
    assert all(hit.score < 0 for hit in found)


def test_vectors_of_any_length_and_of_zeros_may_be_added(make):
    index = make(2)
    index.add(["long", "short", "zero"], [[3e30, 0.0], [0.0, 1e-30], [0.0, 0.0]])
    found = index.search([[1.0, -1.0], [0.0, 0.0]])
    assert [(hit.id, round(hit.score, 5)) for hit in found[0]] == [
        ("long", 0.70711),
        ("zero", 0.0),
        ("short", -0.70711),
    ]
    assert sorted((hit.id, hit.score) for hit in found[1]) == [("long", 0.0), ("short", 0.0), ("zero", 0.0)]


def test_of_equal_vectors_as_many_as_asked_for_are_found_each_once(make):
    index, rows = make(), vectors(ROWS)
    ids = list(range(ROWS))
    same = [5, 17, 40, 41, 90, 119]
    rows[same] = rows[5]
    index.add(ids, rows)
    for k in (1, 4, 6, 7):
        found = [hit.id for hit in index.search(rows[5:6], k)[0]]
        assert len(found) == len(set(found)) == k
        assert set(found[: len(same)]) <= set(same)
        if orders_ties(index):
            assert found[: len(same)] == same[:k]


def test_many_equal_vectors_come_in_the_order_of_adding(make):
    index = make(3)
    if not orders_ties(index):
        pytest.skip("Qdrant decides the order of objects with equal scores")
    rows = np.tile([[0.1, 0.7, 0.3]], (1000, 1))
    index.add([f"{row}" for row in range(1000)], rows)
    for k in (1, 33, 34, 999):
        assert [hit.id for hit in index.search(rows[:1], k)[0]] == [f"{row}" for row in range(k)]


def test_a_query_finds_the_same_alone_and_among_others(make):
    index, (ids, rows, payloads), queries = make(), objects(), vectors(130, seed=2)
    index.add(ids, rows, payloads)
    together = index.search(queries, 5)
    for query, found in zip(queries[::10], together[::10], strict=True):
        alone = index.search(query[None], 5)[0]
        assert [hit.id for hit in alone] == [hit.id for hit in found]
        if orders_ties(index):
            assert alone == found


@pytest.mark.parametrize(
    ("wanted", "accepts"),
    [
        ({"lang": "en"}, lambda p: p["lang"] == "en"),
        ({"lang": ["en", "fr"]}, lambda p: p["lang"] in {"en", "fr"}),
        ({"lang": "nobody"}, lambda p: False),
        ({"year": 1995}, lambda p: p["year"] == 1995),
        ({"year": 1995.0}, lambda p: p["year"] == 1995),
        ({"price": 2}, lambda p: p["price"] == 2),
        ({"price": [2.25, 2.5]}, lambda p: p["price"] in {2.25, 2.5}),
        ({"year": {"gte": 1995, "lt": 1998}}, lambda p: 1995 <= p["year"] < 1998),
        ({"year": {"gt": 1995, "lte": 1998}}, lambda p: 1995 < p["year"] <= 1998),
        ({"lang": {"gte": 0}}, lambda p: False),
        ({"tags": "t3"}, lambda p: "t3" in p["tags"]),
        ({"tags": ["t3", 5]}, lambda p: "t3" in p["tags"] or 5 in p["tags"]),
        ({"tags": True}, lambda p: p["tags"][2] is True),
        ({"tags": 1}, lambda p: p["tags"][1] == 1),
        ({"tags": {"gt": 4}}, lambda p: p["tags"][1] > 4),
        ({"lang": "de", "year": {"lt": 2000}}, lambda p: p["lang"] == "de" and p["year"] < 2000),
        ({}, lambda p: True),
    ],
    ids=lambda one: json.dumps(one) if isinstance(one, dict) else "",
)  # fmt: skip
def test_filters_choose_what_is_searched(make, wanted, accepts):
    index, (ids, rows, payloads), queries = make(), objects(60), vectors(2, seed=3)
    index.add(ids, rows, payloads)
    for query, found in zip(queries, index.search(queries, 200, wanted), strict=True):
        check(found, brute_force(query, ids, rows, 200, lambda row: accepts(payloads[row])))


def test_a_field_that_few_objects_have_or_with_an_odd_name_can_be_searched(make):
    index, rows = make(), vectors(6)
    payloads = [{"a.b": 1}, {"a": {"b": 1}}, {"ü x": "y"}, {"n": None, "l": [], "d": {}}, {"a.b": [[1]]}, None]
    index.add(list("uvwxyz"), rows, payloads)
    assert [hit.id for hit in index.search(rows[:1], filter={"a.b": 1})[0]] == ["u"]
    assert [hit.id for hit in index.search(rows[:1], filter={"ü x": "y"})[0]] == ["w"]
    for field in "nlda":
        assert index.search(rows[:1], filter={field: 1}) == [[]]


def test_large_integers_are_compared_exactly(make):
    index, rows = make(), vectors(2)
    index.add(["a", "b"], rows, [{"n": 2**62}, {"n": 2**62 + 1}])
    assert [hit.id for hit in index.search(rows[:1], filter={"n": 2**62 + 1})[0]] == ["b"]


def test_a_field_that_no_object_has_is_an_error_that_names_those_there_are(make):
    index, rows = make(), vectors(2)
    index.add(["a", "b"], rows, [{"lang": "en"}, {"year": 1}])
    with pytest.raises(ValueError, match="the field 'language', which no object has; there are 'lang', 'year'"):
        index.search(rows, filter={"language": "en"})


def test_deleted_objects_are_not_found_and_may_come_again(make):
    index, (ids, rows, payloads), query = make(), objects(), vectors(1, seed=4)
    index.add(ids, rows, payloads)
    gone = ids[::2]
    assert index.delete([*gone, gone[0], "never there", 10**9]) == len(gone)
    assert index.delete(gone) == 0
    assert len(index) == ROWS - len(gone)
    assert index.contains([ids[0], ids[1], "never there"]) == [False, True, False]
    left = [row for row in range(ROWS) if row % 2]
    check(index.search(query, ROWS)[0], brute_force(query[0], ids, rows, ROWS, lambda row: row % 2))
    check(
        index.search(query, 5, {"lang": "de"})[0],
        brute_force(query[0], ids, rows, 5, lambda row: row in left and payloads[row]["lang"] == "de"),
    )
    index.add([ids[0]], query, [{"lang": "xx"}])
    assert index.search(query, 1)[0] == [Hit(ids[0], pytest.approx(1, abs=1e-6), {"lang": "xx"})]


def test_all_can_be_deleted(make):
    index, rows = make(), vectors(3)
    index.add([1, 2, 3], rows, [{"a": 1}] * 3)
    index.delete([1, 2, 3])
    assert len(index) == 0
    assert index.search(rows) == index.search(rows, filter={"a": 1}) == [[], [], []]


def test_an_empty_index_finds_nothing(make):
    index = make()
    assert len(index) == 0
    assert index.search(vectors(2)) == [[], []]
    assert index.search(vectors(2), 3, {"lang": "en"}) == [[], []]
    assert index.search(np.empty((0, DIMENSION))) == []
    index.add([], np.empty((0, DIMENSION)))
    assert len(index) == 0
    assert index.delete(["a"]) == 0
    assert index.contains(["a"]) == [False]


def test_the_ids_1_and_text_1_are_different(make):
    index = make()
    index.add([1, "1"], vectors(2))
    assert {(type(hit.id), hit.id) for hit in index.search(vectors(1))[0]} == {(int, 1), (str, "1")}
    assert index.delete(["1"]) == 1
    assert index.contains([1, "1"]) == [True, False]


def test_what_is_passed_in_and_given_out_is_nobodys_but_the_callers(make):
    about, payloads = {"model": {"name": "m"}}, [{"tags": ["a"]}]
    given = np.array([[2.0, 0.0]])
    index = make(2, about=about)
    index.add(np.array([7]), given, payloads)
    assert (given == [[2.0, 0.0]]).all()
    about["model"]["name"] = payloads[0]["tags"][0] = "changed"
    index.about["model"]["name"] = "changed"
    given[:] = 0
    found = index.search([[1.0, 0.0]])[0]
    assert found == [Hit(7, pytest.approx(1), {"tags": ["a"]})]
    assert type(found[0].id) is int
    found[0].payload["tags"].append("b")
    assert index.search([[1.0, 0.0]])[0][0].payload == {"tags": ["a"]}
    assert index.about == {"model": {"name": "m"}}


def test_a_saved_index_is_the_same_when_it_is_loaded(make, tmp_path):
    index, (ids, rows, payloads), queries = make(about={"fingerprint": "ab"}), objects(), vectors(4, seed=5)
    index.add(ids, rows, payloads)
    index.delete(ids[:20])
    expected = index.search(queries, 15), index.search(queries, 15, {"lang": "en"})
    loaded = reloaded(index, tmp_path / "saved")
    assert loaded.about == {"fingerprint": "ab"}
    assert (loaded.dimension, len(loaded)) == (DIMENSION, ROWS - 20)
    same(loaded.search(queries, 15), expected[0])
    same(loaded.search(queries, 15, {"lang": "en"}), expected[1])
    with pytest.raises(ValueError, match="holds 'id 22' already"):
        loaded.add(["id 22"], rows[:1])
    closed(loaded)
    opened = open_index(tmp_path / "saved")
    assert type(opened) is type(loaded)
    same(opened.search(queries, 15), expected[0])
    closed(opened)


def test_an_index_grows_from_save_to_save(make, tmp_path):
    index, (ids, rows, payloads), queries = make(), objects(), vectors(3, seed=6)
    index.save(tmp_path / "saved")
    for start in range(0, ROWS, 40):
        index = reloaded(index, tmp_path / "saved") if not isinstance(index, QdrantIndex) else index
        some = slice(start, start + 40)
        index.add(ids[some], rows[some], payloads[some])
        index.delete(ids[start : start + 5])
    for query, found in zip(queries, index.search(queries, 20), strict=True):
        check(found, brute_force(query, ids, rows, 20, lambda row: row % 40 >= 5))


@pytest.mark.parametrize(
    ("ids", "rows", "payloads", "error", "message"),
    [
        (["a", "a"], 2, None, ValueError, "'a' more than once among the ids"),
        (["here"], 1, None, ValueError, "the index holds 'here' already. Delete them first"),
        (["a", "b"], 1, None, ValueError, "expected as many of each, got 2 ids, 1 vectors"),
        (["a"], 1, [{}, {}], ValueError, "got 1 ids, 1 vectors and 2 payloads"),
        (["a", 1.5], 2, None, TypeError, "an id must be text or an integer, got float 1.5"),
        ([True], 1, None, TypeError, "got bool True"),
        ([None], 1, None, TypeError, "got NoneType None"),
        ("a", 1, None, TypeError, r"expected a list of ids, got the text 'a'. Write \[id\]"),
        ([2**64], 1, None, ValueError, "has more than 64 bits"),
        (["\ud800"], 1, None, ValueError, "is no Unicode text"),
        (["b", "a"], 2, [{}, {"n": math.nan}], ValueError, "the payload of 'a' is no JSON"),
        (["a"], 1, [{"n": {1, 2}}], ValueError, "the payload of 'a' is no JSON"),
        (["a"], 1, [{"n": (1, 2)}], ValueError, "the payload of 'a' is no JSON: it would be read as"),
        (["a"], 1, [{1: 2}], ValueError, "Use lists, and texts as keys"),
        (["a"], 1, [{"n": "\ud800"}], ValueError, "the payload of 'a' is no JSON"),
        (["a"], 1, [["n"]], TypeError, "the payload of 'a' must be a dictionary, got list"),
    ],
)
def test_objects_that_do_not_fit_are_refused_and_none_of_them_is_added(make, ids, rows, payloads, error, message):
    index = make()
    index.add(["here"], vectors(1), [{"lang": "en"}])
    with pytest.raises(error, match=message):
        index.add(ids, vectors(rows), payloads)
    assert len(index) == 1
    assert [hit.id for hit in index.search(vectors(1))[0]] == ["here"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((1, DIMENSION + 1)), r"expected vectors \[N, 8\], got \[1, 9\]"),
        (np.ones(DIMENSION), r"expected vectors \[N, 8\], got \[8\]"),
        (np.array([[1.0] * 7 + [math.nan]]), "the vector in row 0 has a number that is not finite"),
        (np.array([[1.0] * 8, [math.inf] * 8]), "the vector in row 1 has a number that is not finite"),
        (np.ones((1, DIMENSION), dtype=bool), "of floating point numbers or signed integers, got bool"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(make, rows, message):
    index = make()
    with pytest.raises(ValueError, match=message):
        index.search(rows)
    with pytest.raises(ValueError, match=message):
        index.add(list(range(len(rows))), rows)
    assert len(index) == 0


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_must_be_a_positive_integer(make, k):
    with pytest.raises(ValueError, match="k must be an integer of 1 or more, got"):
        make().search(vectors(1), k)


def test_a_filter_that_is_none_is_refused(make):
    index = make()
    index.add([1], vectors(1), [{"a": 1}])
    with pytest.raises(ValueError, match=r"the filter for 'a' is \{'min': 3\}, expected a range"):
        index.search(vectors(1), filter={"a": {"min": 3}})
    with pytest.raises(TypeError, match="a filter must be a dictionary"):
        index.search(vectors(1), filter=["a"])


@pytest.mark.parametrize("dimension", [0, -3, 2.0, True, "8"])
def test_a_dimension_must_be_a_positive_integer(make, dimension):
    with pytest.raises(ValueError, match="the dimension must be an integer of 1 or more, got"):
        make(dimension)


def test_what_is_said_of_an_index_must_be_json(make):
    with pytest.raises(ValueError, match="about is no JSON"):
        make(about={"model": object()})
    with pytest.raises(TypeError, match="about must be a dictionary, got str"):
        make(about="model")


def test_payloads_are_read_by_id(make, tmp_path):
    ids, rows, payloads = objects()
    index = make()
    index.add(ids, rows, payloads)
    index.delete([ids[4]])
    wanted = [ids[7], "nowhere", ids[4], ids[0]]
    assert index.payloads(wanted) == [payloads[7], None, None, payloads[0]]
    index.payloads([ids[7]])[0]["lang"] = "changed"
    assert index.payloads([ids[7]]) == [payloads[7]]
    again = reloaded(index, tmp_path / "qdrant" if isinstance(index, QdrantIndex) else tmp_path / "saved")
    assert again.payloads(wanted) == [payloads[7], None, None, payloads[0]]
    closed(again)
