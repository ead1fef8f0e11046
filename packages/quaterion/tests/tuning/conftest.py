"""Vectors in which a few components tell groups apart and many others are noise: what a head can learn to leave out."""

from types import SimpleNamespace

import pytest
import torch

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample

SIGNAL, NOISE = 6, 26
SIZE = SIGNAL + NOISE


def vector(group: int, generator: torch.Generator, spread: float = 0.6) -> list[float]:
    """A noisy vector of a group."""
    signal = torch.nn.functional.one_hot(torch.tensor(group % SIGNAL), SIGNAL).float() * 1.5
    signal = signal + spread * torch.randn(SIGNAL, generator=generator)
    return [round(x, 6) for x in torch.cat([signal, 1.2 * torch.randn(NOISE, generator=generator)]).tolist()]


def group_rows(count: int = 30, groups: int = SIGNAL, seed: int = 0) -> list[dict[str, object]]:
    """`count` rows of each group."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {"text": vector(place % groups, generator), "group": f"g{place % groups}"} for place in range(count * groups)
    ]


def group_samples(count: int = 30, groups: int = SIGNAL, seed: int = 0) -> list[SimilarityGroupSample]:
    """The same as samples."""
    return [SimilarityGroupSample(row["text"], row["group"]) for row in group_rows(count, groups, seed)]


def pair_samples(count: int = 60, seed: int = 0, *, scored: bool = False) -> list[SimilarityPairSample]:
    """Pairs of one group; scored ones of one group or of two."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for place in range(count):
        other = place + (scored and place % 2)
        one, two = vector(place, generator), vector(other, generator)
        samples.append(SimilarityPairSample(one, two, 1.0 if place % SIGNAL == other % SIGNAL else 0.0))
    return samples


def pair_rows(samples: list[SimilarityPairSample]) -> list[dict[str, object]]:
    """Rows of pairs."""
    return [{"anchor": one.obj_a, "positive": one.obj_b, "score": one.score} for one in samples]


@pytest.fixture(scope="session")
def noisy():
    """Makers of such data."""
    return SimpleNamespace(
        group_rows=group_rows, group_samples=group_samples, pair_samples=pair_samples, pair_rows=pair_rows
    )
