import pytest
import torch

from quaterion.functional.center import center_loss


def test_half_of_lambda_times_the_mean_squared_distance_of_unit_vectors() -> None:
    embeddings, centers = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0], [4.0, 3.0]])
    # Unit centres (1, 0) and (0.8, 0.6): squared distances 0 and 0.64 + 0.16.
    loss = center_loss(embeddings, torch.tensor([0, 1]), centers, lambda_c=0.5)
    assert loss.item() == pytest.approx(0.5 / 2 * (0 + 0.8) / 2)


def test_unknown_groups_are_left_out_and_no_row_gives_zero() -> None:
    embeddings, centers, groups = torch.randn(4, 3), torch.randn(2, 3), torch.tensor([0, -1, 1, -1])
    known = groups >= 0
    assert torch.allclose(
        center_loss(embeddings, groups, centers), center_loss(embeddings[known], groups[known], centers)
    )
    assert center_loss(embeddings[:0], groups[:0], centers).item() == 0
