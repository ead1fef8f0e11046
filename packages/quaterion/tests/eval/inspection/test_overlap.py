import itertools

import pytest
import torch

from quaterion.dataset import group_ids
from quaterion.eval.inspection import overlapping_groups
from quaterion.functional.similarity import METRICS, similarity_matrix


def by_looking_at_all(embeddings, groups, k, metric):
    similarity = similarity_matrix(embeddings, embeddings, metric).tolist()
    groups = groups.tolist()
    links = []
    for row in range(len(groups)):
        others = sorted((i for i in range(len(groups)) if i != row), key=lambda i: -similarity[row][i])[:k]
        links += [(row, other) for other in others]
    found = []
    for a, b in itertools.combinations(sorted(set(groups)), 2):
        between = [(i, j) for i, j in links if {groups[i], groups[j]} == {a, b}]
        if between:
            nearest = max(between, key=lambda link: similarity[link[0]][link[1]])
            rows = nearest if groups[nearest[0]] == a else nearest[::-1]
            share = len(between) / (k * (groups.count(a) + groups.count(b)))
            found.append(((a, b), share, rows, similarity[rows[0]][rows[1]]))
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("max_entries", [None, 100])
def test_they_are_those_that_comparing_all_objects_gives(metric, k, max_entries):
    generator = torch.Generator().manual_seed(k)
    embeddings = torch.randn(50, 4, generator=generator)
    groups = torch.randint(-3, 5, (50,), generator=generator)
    expected = {one[0]: one for one in by_looking_at_all(embeddings, groups, k, metric)}
    found = overlapping_groups(embeddings, groups, 100, k=k, distance_metric_name=metric, max_entries=max_entries)
    assert {one.groups for one in found} == set(expected)
    for one in found:
        _, share, rows, similarity = expected[one.groups]
        assert one.overlap == pytest.approx(share)
        assert one.rows == rows
        assert one.similarity == pytest.approx(similarity, abs=1e-6)
    shares = [one.overlap for one in found]
    assert shares == sorted(shares, reverse=True)
    first = overlapping_groups(embeddings, groups, 3, k=k, distance_metric_name=metric, max_entries=max_entries)
    assert first == found[:3]


def test_groups_that_are_mixed_come_before_groups_that_touch():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    labels = ["red", "crimson", "green", "blue"]
    groups = [label for label in labels for _ in range(15)]
    embeddings = centres.repeat_interleave(15, dim=0) + 0.1 * torch.randn(60, 3, generator=generator)
    (mixed,) = overlapping_groups(embeddings, groups)
    assert set(mixed.groups) == set(group_ids(["red", "crimson"]).tolist())
    assert {groups[row] for row in mixed.rows} == {"red", "crimson"}
    assert 0.4 < mixed.overlap < 0.65  # 15 of the 29 others are of the other group


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": torch.tensor([1, 1, 1])}, r"All 3 objects are of one group"),
        ({"k": 3}, r"k=3 neighbours, but each object has 2"),
        ({"top": 0}, r"top=0; expected the number of pairs of groups"),
        ({"embeddings": torch.full((3, 3), float("nan"))}, r"hold NaN or infinity"),
        ({"embeddings": torch.empty(0, 3), "groups": torch.empty(0).long()}, r"There are no embeddings"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        overlapping_groups(**{"embeddings": torch.eye(3), "groups": torch.tensor([0, 1, 1]), "k": 1} | arguments)
