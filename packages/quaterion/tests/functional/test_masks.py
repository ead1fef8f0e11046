import torch

from quaterion.functional.masks import group_masks


def test_an_anchor_is_neither_its_own_positive_nor_its_own_negative() -> None:
    groups = torch.tensor([5, 5, -2])
    masks = group_masks(groups, groups)
    assert masks.positive.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert masks.negative.tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_a_block_of_rows_leaves_out_its_own_diagonal() -> None:
    groups = torch.tensor([0, 0, 0, 1])
    whole, block = group_masks(groups, groups), group_masks(groups[2:], groups, first=2)
    assert torch.equal(block.positive, whole.positive[2:])
    assert torch.equal(block.negative, whole.negative[2:])


def test_a_reference_has_no_diagonal() -> None:
    groups = torch.tensor([0, 1])
    assert group_masks(groups, groups, first=None).positive.tolist() == [[True, False], [False, True]]


def test_large_group_ids_are_compared_exactly() -> None:
    # As float32 both would be 2**62.
    groups = torch.tensor([2**62, 2**62 + 1])
    assert not group_masks(groups, groups).positive.any()
