"""Embeddings in two dimensions: by principal components, or by UMAP where it is installed."""

import importlib
import importlib.util
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from quaterion.functional.similarity import prepare

__all__ = ["Method", "Projection", "check_projection", "pca", "project"]

Method = Literal["auto", "pca", "umap"]


class Projection(NamedTuple):
    """Points of a map.

    Args:
        points: float64 `[N, 2]`.
        method: `"pca"` or `"umap"`.
        explained: Share of the variance that the two components hold; None for UMAP.
    """

    points: Tensor
    method: str
    explained: float | None


def check_projection(method: str) -> None:
    """Makes sure that a map can be made, before the work begins.

    Args:
        method: How it shall be made.

    Raises:
        ImportError: UMAP is asked for and not installed.
        ValueError: The method is unknown.
    """
    if method not in ("auto", "pca", "umap"):
        raise ValueError(f"projection={method!r}; expected 'auto', 'pca' or 'umap'.")
    if method == "umap" and not _umap_installed():
        raise ImportError('umap is not installed. Type: pip install "quaterion[umap]" (or choose the projection "pca")')


def _umap_installed() -> bool:
    return importlib.util.find_spec("umap") is not None


def project(embeddings: Tensor, *, method: Method = "auto", metric: str = "cosine", seed: int = 0) -> Projection:
    """Maps embeddings to the plane.

    Args:
        embeddings: `[N, D]`.
        method: `"auto"` takes UMAP where it is installed and there are 20 points or more. Of fewer than 5 points, of
            which UMAP can make nothing, the map is by PCA whatever was asked for.
        metric: How embeddings are compared: for cosine they are scaled to length 1 first.
        seed: Seed of UMAP.

    Returns:
        The points.

    Raises:
        ImportError: UMAP is asked for and not installed.
        ValueError: The method is unknown.

    Example:
        >>> project(torch.eye(3), method="pca").points.shape
        torch.Size([3, 2])
    """
    check_projection(method)
    vectors = prepare(embeddings, metric)
    if method == "pca" or len(vectors) < 5 or (method == "auto" and (not _umap_installed() or len(vectors) < 20)):
        return pca(vectors)
    umap = importlib.import_module("umap")
    neighbours = min(15, len(vectors) - 1)
    reducer = umap.UMAP(
        n_components=2, n_neighbors=neighbours, metric="cosine" if metric == "cosine" else "euclidean",
        random_state=seed, n_jobs=1,
    )  # fmt: skip
    points = reducer.fit_transform(vectors.float().cpu().numpy())
    return Projection(torch.from_numpy(points).double(), "umap", None)


def pca(vectors: Tensor) -> Projection:
    """Projects on the two directions of largest variance.

    The sign of a direction is chosen so that its largest component is positive: equal data give equal maps.

    Args:
        vectors: `[N, D]`.

    Returns:
        The points, and the share of the variance that they keep.

    Example:
        >>> line = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> pca(line).points.round(decimals=6)[:, 0], pca(line).explained
        (tensor([-5., 0., 5.], dtype=torch.float64), 1.0)
    """
    centred = vectors.cpu().double()
    centred = centred - centred.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred)  # rising; [D], [D, D]
    chosen = directions[:, -2:].flip(1)  # [D, 2], or [D, 1] for D = 1
    largest = chosen.gather(0, chosen.abs().argmax(dim=0, keepdim=True))
    points = centred @ (chosen * largest.sign())
    if points.shape[1] < 2:
        points = torch.cat([points, torch.zeros_like(points)], dim=1)
    total = float(values.clamp(min=0).sum())
    explained = round(float(values[-2:].clamp(min=0).sum()) / total, 6) if total else 1.0
    return Projection(points, "pca", explained)
