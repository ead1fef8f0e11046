import pytest
import torch

from quaterion.functional import mining
from quaterion.functional.comparison import compare
from quaterion.functional.similarity import METRICS, distance_matrix


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("block", [2**21, 16])
def test_the_hardest_pairs_are_those_of_the_whole_matrix(
    metric: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "MINING_BLOCK", block)
    embeddings, groups = torch.randn(9, 4).double(), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])
    distances = distance_matrix(embeddings, metric=metric)
    found = mining.hardest_distances(compare(embeddings, groups, metric=metric))
    for i in range(9):
        positives = [distances[i, j].item() for j in range(9) if j != i and groups[j] == groups[i]]
        negatives = [distances[i, j].item() for j in range(9) if groups[j] != groups[i]]
        assert bool(found.has_positive[i]) == bool(positives)
        assert found.has_negative[i]
        assert found.negative[i].item() == pytest.approx(min(negatives))
        if positives:
            assert found.positive[i].item() == pytest.approx(max(positives))


def test_an_object_is_never_its_own_hardest_positive() -> None:
    # All distances are 0: by value, the object itself would tie with its positive, the only row with a gradient then.
    embeddings = torch.ones(3, 2, requires_grad=True)
    candidates = torch.ones(3, 2, requires_grad=True)
    comparison = compare(embeddings, torch.tensor([0, 0, 1]), metric="dot_product")
    found = mining.hardest_distances(comparison._replace(candidates=candidates))
    assert found.has_positive.tolist() == [True, True, False]
    found.positive[0].backward()
    assert candidates.grad is not None
    assert candidates.grad.any(dim=1).tolist() == [False, True, False]


def test_without_a_negative_there_is_none() -> None:
    found = mining.hardest_distances(compare(torch.randn(3, 2), torch.zeros(3)))
    assert not found.has_negative.any()
    assert found.has_positive.all()


def test_only_the_selected_rows_get_a_gradient() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.3]], requires_grad=True)
    comparison = compare(embeddings, torch.tensor([0, 0, 1, 1]))
    mining.hardest_distances(comparison).negative[0].backward()
    assert embeddings.grad is not None
    assert embeddings.grad.any(dim=1).tolist() == [True, False, True, False]


@pytest.mark.parametrize("columns", [3, 255, 256, 300, 1000])
@pytest.mark.parametrize("largest", [False, True])
def test_row_extremes_are_those_of_torch(columns: int, largest: bool) -> None:
    values = torch.randn(50, columns, generator=torch.Generator().manual_seed(0))
    outside = -torch.inf if largest else torch.inf
    values[0] = outside
    values[1, :-1] = outside  # the only candidate comes last
    values[2, 1:] = outside
    found = mining._row_extremes(values, largest=largest)
    expected = values.max(dim=1) if largest else values.min(dim=1)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.indices[1:], expected.indices[1:])
    assert 0 <= found.indices[0] < columns
