"""What losses with class weights share: the parameter itself."""

import torch
from torch import nn

from quaterion.loss.checks import check_count

__all__ = ["new_class_weights"]


def new_class_weights(embedding_size: int, num_groups: int, sub_centers: int = 1) -> nn.Parameter:
    """Draw class weights of about unit length, from torch's global generator as every layer does.

    Args:
        embedding_size: Components of an embedding, at least 1.
        num_groups: Number of groups, at least 1.
        sub_centers: Centres per group, at least 1.

    Returns:
        `[num_groups · sub_centers, embedding_size]`, the centres of a group one after the other.

    Raises:
        ValueError: If a size is not a whole number of at least 1.

    Example:
        >>> new_class_weights(8, 3).shape
        torch.Size([3, 8])
    """
    rows = check_count("num_groups", num_groups) * check_count("sub_centers", sub_centers)
    columns = check_count("embedding_size", embedding_size)
    return nn.Parameter(torch.randn(rows, columns) * columns**-0.5)
