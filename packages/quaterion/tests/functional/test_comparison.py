import pytest
import torch

from quaterion.functional.comparison import compare
from quaterion.functional.similarity import distance_matrix, similarity_matrix


def test_a_batch_is_compared_with_itself() -> None:
    embeddings, groups = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    comparison = compare(embeddings, groups)
    assert comparison.shape == (4, 4)
    assert not comparison.empty
    assert torch.allclose(comparison.similarities(1, 3), similarity_matrix(embeddings)[1:3])
    assert comparison.masks(1, 3).positive.tolist() == [[True, False, False, False], [False, False, False, True]]


def test_a_reference_replaces_the_batch_as_candidates() -> None:
    embeddings, reference = torch.randn(2, 3), torch.randn(5, 3)
    comparison = compare(embeddings, torch.tensor([0, 1]), reference, torch.tensor([0, 1, 2, 0, 0]), metric="manhattan")
    assert comparison.shape == (2, 5)
    assert torch.allclose(comparison.distances(0, 2), distance_matrix(embeddings, reference, "manhattan"))
    assert comparison.masks(0, 2).positive.tolist() == [[True, False, False, True, True], [False, True] + [False] * 3]


def test_nothing_to_compare_is_empty() -> None:
    assert compare(torch.zeros(0, 3), torch.zeros(0)).empty
    assert compare(torch.zeros(2, 3), torch.zeros(2), torch.zeros(0, 3), torch.zeros(0)).empty


def test_a_reference_and_its_groups_go_together() -> None:
    embeddings, groups = torch.zeros(2, 3), torch.zeros(2)
    with pytest.raises(ValueError, match="reference_groups is missing: .* pass both or neither"):
        compare(embeddings, groups, reference=embeddings)
    with pytest.raises(ValueError, match="reference is missing"):
        compare(embeddings, groups, reference_groups=groups)
