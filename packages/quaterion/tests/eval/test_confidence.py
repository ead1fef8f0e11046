import math
from collections import Counter

import pytest
import torch

from quaterion.eval.confidence import knn_confidence, reliability, softmax_confidence
from quaterion_models.heads import EmptyHead
from quaterion_models.heads.softmax_embeddings_head import SoftmaxEmbeddingsHead

HEAD = SoftmaxEmbeddingsHead(output_groups=3, output_size_per_group=4, input_embedding_size=5)


def test_softmax_confidence_is_that_of_the_definition():
    torch.manual_seed(0)
    embeddings = HEAD(5 * torch.randn(20, 5)).detach()
    entropies, peaks = [], []
    for row in embeddings.double().tolist():
        groups = [row[i : i + 4] for i in (0, 4, 8)]
        entropies.append(1 + sum(p * math.log(p) for group in groups for p in group) / 3 / math.log(4))
        peaks.append(sum(map(max, groups)) / 3)
    assert softmax_confidence(embeddings, HEAD).tolist() == pytest.approx(entropies, abs=1e-6)
    assert softmax_confidence(embeddings, HEAD, "peak").tolist() == pytest.approx(peaks, abs=1e-6)


def test_certain_and_uniform_groups_are_the_ends_of_the_range():
    certain = torch.eye(4)[[0, 2, 3]].view(1, 12)
    embeddings = torch.cat([certain, torch.full((1, 12), 0.25)])
    assert softmax_confidence(embeddings, HEAD).tolist() == pytest.approx([1, 0], abs=1e-12)
    assert softmax_confidence(embeddings, HEAD, "peak").tolist() == [1, 0.25]


def test_half_precision_counts_as_probabilities():
    embeddings = HEAD(torch.randn(20, 5)).detach()
    assert softmax_confidence(embeddings.bfloat16(), HEAD).isfinite().all()


@pytest.mark.parametrize(
    ("embeddings", "head", "measure", "message"),
    [
        (torch.full((2, 12), 0.25), HEAD, "variance", r"measure='variance'; expected 'entropy' or 'peak'"),
        (torch.full((2, 8), 0.25), HEAD, "peak", r"embeddings are of size 8, but the head gives 12 \(3 groups of 4\)"),
        (torch.full((2, 12), 0.3), HEAD, "peak", r"2 of 2 embeddings are no probabilities, the first in row 0"),
        (torch.tensor([[1.5, -0.5, 0, 0] * 3]), HEAD, "peak", r"1 of 1 embeddings are no probabilities"),
        (torch.full((2, 12), float("nan")), HEAD, "peak", r"hold NaN or infinity"),
        (torch.ones(2, 3), SoftmaxEmbeddingsHead(3, 1, 5), "peak", r"output_size_per_group=1"),
    ],
)
def test_what_is_no_output_of_the_head_is_refused(embeddings, head, measure, message):
    with pytest.raises(ValueError, match=message):
        softmax_confidence(embeddings, head, measure)


def test_another_head_is_refused():
    with pytest.raises(TypeError, match=r"The head is a EmptyHead.*knn_confidence"):
        softmax_confidence(torch.ones(2, 3), EmptyHead(3))


@pytest.mark.parametrize("own", [True, False])
def test_knn_confidence_is_the_share_of_the_neighbours_that_agree(own):
    generator = torch.Generator().manual_seed(0)
    labelled = torch.randn(30, 3, generator=generator)
    groups = torch.randint(3, (30,), generator=generator)
    queries = labelled if own else torch.randn(12, 3, generator=generator)
    cosines = torch.cosine_similarity(queries.unsqueeze(1), labelled.unsqueeze(0), dim=2).tolist()
    found = knn_confidence(labelled, groups, 5, queries=None if own else queries, max_entries=70)
    assert len(found.groups) == len(queries)
    for row, (group, example, confidence) in enumerate(
        zip(found.groups.tolist(), found.examples.tolist(), found.confidence.tolist(), strict=True)
    ):
        others = sorted((i for i in range(30) if not own or i != row), key=lambda i: -cosines[row][i])[:5]
        counts = Counter(int(groups[i]) for i in others)
        assert confidence == max(counts.values()) / 5 == counts[group] / 5
        assert example == next(i for i in others if groups[i] == group)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 3}, r"k=3 neighbours, but each object has 2"),
        ({"k": 4, "queries": torch.eye(3)}, r"k=4 neighbours, but each object has 3"),
        ({"groups": torch.ones(3).long()}, r"All 3 objects are of one group"),
        ({"queries": torch.ones(1, 2)}, r"The queries are of size 2, the labelled embeddings of size 3"),
        ({"queries": torch.full((1, 3), float("nan"))}, r"hold NaN"),
        ({"queries": torch.empty(0, 3)}, r"There are no embeddings"),
    ],
)
def test_knn_confidence_refuses_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        knn_confidence(**{"embeddings": torch.eye(3), "groups": torch.tensor([0, 1, 1]), "k": 1} | arguments)


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_reliability_is_that_of_the_definition(bins):
    generator = torch.Generator().manual_seed(0)
    confidence = torch.randint(0, 11, (200,), generator=generator).double() / 10  # many on an edge
    correct = torch.rand(200, generator=generator) < confidence
    found = reliability(confidence, correct, bins)
    assert found.edges.tolist() == pytest.approx([i / bins for i in range(bins + 1)])
    ece, edges = 0.0, found.edges.tolist()
    for i in range(bins):
        members = [
            (c, bool(right))
            for c, right in zip(confidence.tolist(), correct, strict=True)
            if edges[i] < c <= edges[i + 1] or (i == 0 and c == 0)
        ]
        assert found.counts[i] == len(members)
        if members:
            mean = sum(c for c, _ in members) / len(members)
            accuracy = sum(right for _, right in members) / len(members)
            assert float(found.confidence[i]) == pytest.approx(mean)
            assert float(found.accuracy[i]) == pytest.approx(accuracy)
            ece += abs(accuracy - mean) * len(members) / 200
    assert int(found.counts.sum()) == 200
    assert found.ece == pytest.approx(ece)


def test_empty_bins_have_no_value_and_do_not_count():
    found = reliability(torch.tensor([0.95, 1.0]), torch.tensor([1, 1]), bins=10)
    assert found.counts.tolist() == [0] * 9 + [2]
    assert found.accuracy.isnan().tolist() == found.confidence.isnan().tolist() == [True] * 9 + [False]
    assert found.ece == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        ([0.5], [1.0], 0, r"bins=0; expected the number of bins"),
        ([0.5, 0.5], [1.0], 5, r"confidence has the shape \(2,\) and correct \(1,\)"),
        ([], [], 5, r"There is no confidence to judge"),
        ([0.5, 1.5], [1.0, 1.0], 5, r"1 of 2 confidences are outside \[0, 1\], the first is 1.5 in row 1"),
        ([float("nan")], [1.0], 5, r"1 of 1 confidences are outside .* is nan in row 0"),
        ([0.5], [0.5], 5, r"correct holds other values than 0 and 1"),
    ],
)
def test_reliability_refuses_bad_input(confidence, correct, bins, message):
    with pytest.raises(ValueError, match=message):
        reliability(torch.tensor(confidence), torch.tensor(correct), bins)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bins", [3, 5, 7, 10, 23])
def test_a_confidence_on_an_edge_is_in_the_bin_that_ends_there(bins, dtype):
    edges = torch.arange(bins + 1, dtype=dtype) / bins
    counts = reliability(edges, torch.ones(bins + 1), bins).counts
    assert counts.tolist() == [2] + [1] * (bins - 1)  # 0 has no bin below its own
