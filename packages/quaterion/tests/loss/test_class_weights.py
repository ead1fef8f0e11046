import pytest

from quaterion.loss.class_weights import new_class_weights


def test_class_weights_have_one_row_per_centre_and_about_unit_length() -> None:
    weight = new_class_weights(400, 6, sub_centers=2)
    assert weight.shape == (12, 400)
    assert weight.requires_grad
    assert weight.detach().norm(dim=1).mean().item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("sizes", [(0, 3, 1), (4, -1, 1), (4, 3, 0)])
def test_sizes_must_be_counts(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        new_class_weights(*sizes)
