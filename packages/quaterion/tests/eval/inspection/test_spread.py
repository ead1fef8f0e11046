import itertools
import math

import pytest
import torch

from quaterion.eval.inspection import collapse, spread
from quaterion.eval.inspection.spread import mean_cosine


def by_definition(embeddings):
    """Cosines of all pairs, and the singular values' entropy."""
    rows = embeddings.double().tolist()
    unit = [[x / length for x in row] if (length := math.hypot(*row)) else row for row in rows]
    pairs = list(itertools.combinations(unit, 2))
    mean = sum(sum(a * b for a, b in zip(*pair, strict=True)) for pair in pairs) / len(pairs)
    values = [float(v) for v in torch.linalg.svdvals(torch.tensor(unit, dtype=torch.float64)) if v > 1e-10]
    shares = [value / sum(values) for value in values]
    return mean, math.exp(-sum(share * math.log(share) for share in shares)) if values else 0.0


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (12, 12), (2, 1)])
@pytest.mark.parametrize("entries", [2**22, 30])
def test_the_measures_are_those_of_the_definition(monkeypatch, shape, entries):
    monkeypatch.setattr(spread, "BLOCK_ENTRIES", entries)
    embeddings = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 0.3
    embeddings[0] = 0
    found = collapse(embeddings)
    mean, rank = by_definition(embeddings)
    assert found.mean_cosine == pytest.approx(mean, abs=1e-9) == mean_cosine(embeddings)
    assert found.effective_rank == pytest.approx(rank, rel=1e-6)
    assert (found.num_zero, found.num_objects, found.dimension) == (1, *shape)
    assert not found.collapsed


def test_lengths_do_not_count():
    embeddings = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    scaled = embeddings * torch.rand(20, 1, generator=torch.Generator().manual_seed(2)).add(0.1) * 1000
    assert collapse(scaled).effective_rank == pytest.approx(collapse(embeddings).effective_rank, rel=1e-5)
    assert collapse(scaled).mean_cosine == pytest.approx(collapse(embeddings).mean_cosine, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("count", [6, 200])
def test_the_rank_counts_directions_and_no_rounding_errors(rank, count):
    directions = torch.linalg.qr(torch.randn(30, rank, generator=torch.Generator().manual_seed(0))).Q.T
    embeddings = directions[torch.arange(count) % rank]
    assert collapse(embeddings).effective_rank == pytest.approx(rank, rel=1e-5)


def test_one_point_has_collapsed_and_two_opposite_ones_have_not():
    point = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(50, 16, generator=torch.Generator().manual_seed(1))
    assert collapse(point + 0.05 * noise).collapsed
    assert collapse(torch.zeros(5, 4)).collapsed
    assert not collapse(point + 0.5 * noise).collapsed
    assert not collapse(torch.cat([point, -point] * 10)).collapsed  # two groups, told apart perfectly


@pytest.mark.parametrize("measure", [collapse, mean_cosine])
@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (torch.ones(1, 3), r"There is 1 embedding; expected two or more"),
        (torch.empty(0, 3), r"There are no embeddings"),
        (torch.full((3, 3), float("nan")), r"hold NaN or infinity"),
        (torch.ones(3), r"embeddings has the shape \(3,\)"),
    ],
)
def test_bad_input_is_refused(measure, embeddings, message):
    with pytest.raises(ValueError, match=message):
        measure(embeddings)
