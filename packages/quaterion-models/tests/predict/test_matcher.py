"""Matches, against plain loops over all pairs."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead, StackedProjectionHead, SwitchHead
from quaterion_models.predict import Match, Matcher, VectorSearch

Make = Callable[..., SimilarityModel]


def random(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def similarities(left: Tensor, right: Tensor) -> list[list[float]]:
    found: list[list[float]] = (normalize(left.double()) @ normalize(right.double()).T).tolist()
    return found


def places(matches: Any) -> list[tuple[int, int]]:
    return [(one.left_index, one.right_index) for one in matches]


@pytest.fixture
def matcher(vector_model: Make) -> Matcher:
    return Matcher(vector_model(3), threshold=0.8)


def test_between_two_lists_every_left_object_has_its_nearest_ones(matcher: Matcher) -> None:
    left, right = random(1500, 0), random(40, 1)  # more left objects than are looked at together
    table = similarities(left, right)
    expected = []
    for i, row in enumerate(table):
        near = sorted(range(40), key=lambda j: -row[j])[:3]
        expected += [(i, j) for j in near if row[j] >= 0.8]
    found = list(matcher.match_embeddings(left, right, top=3))
    assert places(found) == expected
    assert [one.similarity for one in found] == pytest.approx([table[i][j] for i, j in expected], abs=1e-6)
    assert places(matcher.match_embeddings(left, VectorSearch(right), top=3)) == expected


def test_within_a_list_every_pair_is_found_once(matcher: Matcher) -> None:
    left = random(60, 2)
    table = similarities(left, left)
    found = places(matcher.match_embeddings(left, top=59))
    assert all(i < j for i, j in found)
    assert sorted(found) == [(i, j) for i in range(60) for j in range(i + 1, 60) if table[i][j] >= 0.8]
    for i, j, k in ((i, j, k) for (i, j), (h, k) in itertools.pairwise(found) if i == h):
        assert table[i][j] >= table[i][k]  # the most similar first


def test_within_a_list_a_bound_keeps_a_pair_of_which_either_is_near_the_other(matcher: Matcher) -> None:
    left = random(60, 3)
    table = similarities(left, left)
    near = [sorted((j for j in range(60) if j != i), key=lambda j: -table[i][j])[:2] for i in range(60)]
    expected = {frozenset((i, j)) for i in range(60) for j in near[i] if table[i][j] >= 0.8}
    found = places(matcher.match_embeddings(left, top=2))
    assert len(found) == len(expected)
    assert {frozenset(pair) for pair in found} == expected


def test_many_equal_objects_do_not_match_themselves(matcher: Matcher) -> None:
    found = places(matcher.match_embeddings(torch.ones(20, 3), top=2))
    assert all(i != j for i, j in found)
    assert len({frozenset(pair) for pair in found}) == len(found)


@pytest.mark.parametrize("within", [True, False])
def test_greedy_takes_the_most_similar_pairs_first(matcher: Matcher, within: bool) -> None:
    left = random(50, 4)
    right = left if within else random(30, 5)
    table = similarities(left, right)
    pairs = [(i, j) for i in range(50) for j in range(len(right)) if table[i][j] >= 0.8 and (i < j or not within)]
    taken: set[Any] = set()
    expected = []
    for i, j in sorted(pairs, key=lambda pair: -table[pair[0]][pair[1]]):
        ends = {("left", i), ("left" if within else "right", j)}
        if not ends & taken:
            taken |= ends
            expected.append((i, j))
    found = places(matcher.match_embeddings(left, None if within else right, top=50, one_to_one="greedy"))
    assert found == sorted(expected)


@pytest.mark.parametrize("within", [True, False])
def test_mutual_takes_pairs_that_are_each_others_nearest(matcher: Matcher, within: bool) -> None:
    left = random(50, 6)
    right = left if within else random(30, 7)
    table = similarities(left, right)
    if within:
        for i in range(50):
            table[i][i] = -2.0
    expected = [
        (i, j)
        for i in range(50)
        for j in range(len(right))
        if table[i][j] >= 0.8
        and table[i][j] == max(table[i])
        and table[i][j] == max(row[j] for row in table)
        and (i < j or not within)
    ]
    assert places(matcher.match_embeddings(left, None if within else right, one_to_one="mutual")) == expected


def test_objects_are_embedded_and_a_two_sided_model_uses_its_sides() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        query, document = StackedProjectionHead(3, [3]), EmptyHead(3)
    model = SimilarityModel(VectorEncoder(3), SwitchHead({"query": query, "document": document}, 3)).eval()
    left, right = random(10, 8).tolist(), random(10, 9).tolist()
    one = next(Matcher(model, -1.0).match(left, right, top=1))
    expected = similarities(model.encode_query(left[:1], to_numpy=False), model.encode_document(right, to_numpy=False))
    assert one.similarity == pytest.approx(max(expected[0]), abs=1e-6)
    assert one.similarity != pytest.approx(max(similarities(torch.tensor(left[:1]), torch.tensor(right))[0]), abs=1e-4)


def test_the_threshold_is_the_least_similarity(vector_model: Make) -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    exactly = float(torch.tensor(0.6))
    model = vector_model(2)
    found = VectorSearch(vectors).find(vectors[:1], 2).similarities[0, 1].item()
    assert found == pytest.approx(exactly)
    assert places(Matcher(model, found).match_embeddings(vectors)) == [(0, 1)]
    assert places(Matcher(model, found + 1e-7).match_embeddings(vectors)) == []


def test_one_object_alone_matches_nothing(matcher: Matcher) -> None:
    for one_to_one in (None, "greedy", "mutual"):
        assert list(matcher.match_embeddings(torch.ones(1, 3), one_to_one=one_to_one)) == []  # type: ignore[arg-type]


def test_a_match_is_a_tuple() -> None:
    assert Match(1, 2, 0.5) == (1, 2, 0.5)


def test_what_does_not_fit_is_refused(matcher: Matcher) -> None:
    with pytest.raises(ValueError, match="threshold must be a similarity, such as 0.8, got None"):
        Matcher(matcher.model, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top must be an integer of at least 1, got 0"):
        matcher.match([[1.0, 0.0, 0.0]], top=0)
    with pytest.raises(ValueError, match='one_to_one must be "greedy", "mutual" or None, got \'best\''):
        matcher.match_embeddings(torch.ones(2, 3), one_to_one="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected embeddings \[N, D\], one or more"):
        matcher.match([])
