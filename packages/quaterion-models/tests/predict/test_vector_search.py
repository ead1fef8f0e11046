"""The nearest embeddings, against all products at once."""

import pytest
import torch
from torch.nn.functional import normalize

from quaterion_models.predict import VectorSearch


def random(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))


def test_finds_what_a_sort_of_all_similarities_finds() -> None:
    examples, queries = random(5000, 0), random(30, 1)
    found = VectorSearch(examples).find(queries, 12)
    similarities = normalize(queries.double()) @ normalize(examples.double()).T
    expected = similarities.sort(dim=1, descending=True)
    assert torch.equal(found.rows, expected.indices[:, :12])
    assert torch.allclose(found.similarities.double(), expected.values[:, :12], atol=1e-6)


def test_a_query_gets_exactly_the_same_alone_and_among_others() -> None:
    examples, queries = random(3000, 2), random(100, 3)
    search = VectorSearch(examples)
    together = search.find(queries, 5)
    for row in (0, 37, 99):
        alone = search.find(queries[row : row + 1], 5)
        assert torch.equal(alone.similarities[0], together.similarities[row])
        assert torch.equal(alone.rows[0], together.rows[row])


def test_of_equal_examples_the_first_comes_first_and_fewer_than_k_are_all() -> None:
    found = VectorSearch(torch.tensor([[0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])).find(torch.tensor([[0.0, 5.0]]), 10)
    assert found.rows.tolist() == [[0, 2, 1]]
    assert found.similarities.tolist() == [[1.0, 1.0, 0.0]]


def test_the_best_of_other_groups_equals_a_plain_loop() -> None:
    examples, queries = random(9000, 4), random(40, 5)  # more than two blocks
    generator = torch.Generator().manual_seed(6)
    groups = torch.randint(0, 3, (9000,), generator=generator)
    own = torch.randint(0, 3, (40,), generator=generator)
    found = VectorSearch(examples).best_of_others(queries, own, groups)
    for query in range(40):
        others = normalize(examples[groups != own[query]])
        assert float(found[query]) == pytest.approx(float((others @ normalize(queries[query], dim=0)).max()), abs=1e-6)


def test_without_another_group_there_is_nothing() -> None:
    search = VectorSearch(torch.eye(2))
    one = torch.zeros(2, dtype=torch.int64)
    assert search.best_of_others(torch.eye(2), one, one).tolist() == [-torch.inf, -torch.inf]


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected embeddings \[N, D\], one or more, got \[0, 3\]"):
        VectorSearch(torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"expected vectors \[N, 2\], got \[1, 3\]"):
        VectorSearch(torch.eye(2)).find(torch.zeros(1, 3), 1)
    with pytest.raises(ValueError, match="row 1 has a number that is not finite"):
        VectorSearch(torch.tensor([[1.0], [torch.nan]]))
