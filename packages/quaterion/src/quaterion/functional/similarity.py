"""Similarities and distances, for pairs of rows and as a matrix.

Larger similarity means closer. Everything is computed in at least float32, whatever autocast says, and
float64 stays float64. The `metric` is one of `METRICS`:

- `cosine`: similarity is the raw cosine in [−1, 1], distance 1 − cosine in [0, 2]. A row with a norm below
  1e-8 has similarity 0 to everything and a gradient of zero.
- `dot_product`: similarity is the dot product, distance its negative.
- `euclidean`, `manhattan`: similarity is 1 / (1 + distance). The subgradient at distance 0 is 0.

`prepare` does what depends on one side only (for cosine: normalise); the functions whose names begin with
`prepared_` take its output, so that a loss normalises its embeddings once.
"""

import torch
from torch import Tensor

__all__ = [
    "METRICS",
    "at_least_float32",
    "closeness_matrix",
    "distance",
    "distance_matrix",
    "matrix_product",
    "normalize",
    "prepare",
    "prepared_distance",
    "prepared_distance_matrix",
    "prepared_similarity",
    "prepared_similarity_matrix",
    "similarity",
    "similarity_matrix",
]

METRICS = ("cosine", "dot_product", "euclidean", "manhattan")
_SMALLEST_NORM = 1e-8
_BUFFER = 2**27


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision and integer tensors as float32; float32 and float64 stay as they are."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def normalize(x: Tensor) -> Tensor:
    """Scale each row to unit length; a row with a norm below 1e-8 becomes zero and gets a gradient of zero.

    Args:
        x: `[n, D]` vectors.

    Returns:
        `[n, D]` unit vectors in at least float32.

    Example:
        >>> normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    x = at_least_float32(x)
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    small = norm < _SMALLEST_NORM
    # The factor of a small row is the constant 0, so that neither the row nor its norm passes a gradient on.
    return x * norm.masked_fill(small, 1.0).reciprocal().masked_fill(small, 0.0)


def prepare(x: Tensor, metric: str) -> Tensor:
    """Do what a metric needs of one side alone: unit rows for `cosine`, at least float32 for the others.

    Args:
        x: `[n, D]` vectors.
        metric: One of `METRICS`.

    Returns:
        `[n, D]` input of the functions whose names begin with `prepared_`.

    Raises:
        ValueError: If the metric is unknown.
    """
    if metric == "cosine":
        return normalize(x)
    if metric not in METRICS:
        raise ValueError(f"unknown metric {str(metric)!r}: expected one of {', '.join(METRICS)}")
    return at_least_float32(x)


def matrix_product(x: Tensor, y: Tensor) -> Tensor:
    """Return `x @ y.T` in the wider of both types, untouched by autocast.

    Args:
        x: `[n, D]`.
        y: `[m, D]`.

    Returns:
        `[n, m]` dot products.
    """
    x, y = _same_type(x, y)
    with torch.autocast(x.device.type, enabled=False):
        return x @ y.T


def prepared_similarity(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the similarity of each row of `x` to the same row of `y`, both from `prepare`; `[n]`."""
    if metric in ("cosine", "dot_product"):
        return (x * y).sum(dim=-1)
    return 1.0 / (1.0 + prepared_distance(x, y, metric))


def prepared_distance(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the distance of each row of `x` to the same row of `y`, both from `prepare`; `[n]`."""
    if metric == "cosine":
        return 1.0 - (x * y).sum(dim=-1)
    if metric == "dot_product":
        return -(x * y).sum(dim=-1)
    if metric == "manhattan":
        return (x - y).abs().sum(dim=-1)
    return _root((x - y).square().sum(dim=-1))


def prepared_similarity_matrix(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the similarity of each row of `x` to each row of `y`, both from `prepare`; `[n, m]`."""
    if metric in ("cosine", "dot_product"):
        return matrix_product(x, y)
    return 1.0 / (1.0 + prepared_distance_matrix(x, y, metric))


def prepared_distance_matrix(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Compute the distance of each row of `x` to each row of `y`, both from `prepare`; `[n, m]`."""
    if metric == "cosine":
        return 1.0 - matrix_product(x, y)
    if metric == "dot_product":
        return -matrix_product(x, y)
    if metric == "manhattan":
        # On a GPU the backward pass of cdist takes a buffer of n·m·D: row pieces bound it.
        return _manhattan_matrix(x, y, None if x.device.type == "cpu" else _BUFFER)
    return _root(_squared_distance_matrix(x, y))


def closeness_matrix(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """Order candidates as the similarity does, row by row, at the price of one matrix product.

    Within a row it increases with the similarity, but its values have no meaning across rows: enough for
    mining.

    Args:
        x: `[n, D]` queries from `prepare`.
        y: `[m, D]` candidates from `prepare`.
        metric: One of `METRICS`.

    Returns:
        `[n, m]`, larger is closer.
    """
    if metric == "manhattan":
        return -prepared_distance_matrix(x, y, metric)
    if metric == "euclidean":
        # −½d² = x·y − ½‖y‖² − ½‖x‖², and the last term is the same for the whole row.
        x, y = _centred(x, y)
        return matrix_product(x, y) - 0.5 * y.square().sum(dim=-1)
    return matrix_product(x, y)


def similarity(x: Tensor, y: Tensor, metric: str = "cosine") -> Tensor:
    """Compute the similarity of each row of `x` to the same row of `y`.

    Args:
        x: `[n, D]` vectors.
        y: `[n, D]` vectors.
        metric: One of `METRICS`.

    Returns:
        `[n]` similarities, larger is closer.

    Example:
        >>> similarity(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
        tensor([0.])
    """
    return prepared_similarity(prepare(x, metric), prepare(y, metric), metric)


def distance(x: Tensor, y: Tensor, metric: str = "cosine") -> Tensor:
    """Compute the distance of each row of `x` to the same row of `y`.

    Args:
        x: `[n, D]` vectors.
        y: `[n, D]` vectors.
        metric: One of `METRICS`.

    Returns:
        `[n]` distances, smaller is closer.

    Example:
        >>> distance(torch.tensor([[0.0, 3.0]]), torch.tensor([[4.0, 0.0]]), "euclidean")
        tensor([5.])
    """
    return prepared_distance(prepare(x, metric), prepare(y, metric), metric)


def similarity_matrix(x: Tensor, y: Tensor | None = None, metric: str = "cosine") -> Tensor:
    """Compute the similarity of each row of `x` to each row of `y`.

    Args:
        x: `[n, D]` vectors.
        y: `[m, D]` vectors; `x` itself where omitted.
        metric: One of `METRICS`.

    Returns:
        `[n, m]` similarities, larger is closer.
    """
    x = prepare(x, metric)
    return prepared_similarity_matrix(x, x if y is None else prepare(y, metric), metric)


def distance_matrix(x: Tensor, y: Tensor | None = None, metric: str = "cosine") -> Tensor:
    """Compute the distance of each row of `x` to each row of `y`.

    Euclidean distances come from dot products of centred rows; squared distances within that formula's
    rounding error of zero are zero.

    Args:
        x: `[n, D]` vectors.
        y: `[m, D]` vectors; `x` itself where omitted.
        metric: One of `METRICS`.

    Returns:
        `[n, m]` distances, smaller is closer.
    """
    x = prepare(x, metric)
    return prepared_distance_matrix(x, x if y is None else prepare(y, metric), metric)


def _same_type(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(x.dtype, y.dtype)
    return x.to(dtype), y.to(dtype)


def _centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # Distances ignore a shift; without the common part the dot products lose fewer digits.
    x, y = _same_type(x, y)
    centre = y.detach().mean(dim=0)
    return x - centre, y - centre


def _manhattan_matrix(x: Tensor, y: Tensor, buffer: int | None) -> Tensor:
    x, y = _same_type(x, y)
    rows = x.shape[0] if buffer is None else max(1, buffer // max(1, y.numel()))
    with torch.autocast(x.device.type, enabled=False):
        if rows >= x.shape[0]:
            return torch.cdist(x, y, p=1.0)
        return torch.cat([torch.cdist(x[i : i + rows], y, p=1.0) for i in range(0, x.shape[0], rows)])


def _squared_distance_matrix(x: Tensor, y: Tensor) -> Tensor:
    x, y = _centred(x, y)
    lengths = x.square().sum(dim=-1, keepdim=True) + y.square().sum(dim=-1)
    squared = lengths - 2.0 * matrix_product(x, y)
    noise = squared.detach() <= 4.0 * torch.finfo(x.dtype).eps * lengths.detach()
    return squared.masked_fill(noise, 0.0)


def _root(squared: Tensor) -> Tensor:
    # The derivative of the root at 0 is infinite: leave those entries out of it, before and after.
    zero = squared <= 0.0
    return squared.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)
