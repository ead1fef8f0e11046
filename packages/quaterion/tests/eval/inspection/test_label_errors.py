import pytest
import torch

from quaterion.eval.inspection import suspected_label_errors
from quaterion.functional.similarity import METRICS, similarity_matrix


def blobs(seed, count=60, num_groups=12):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(num_groups, (count,), generator=generator) * 10 - 5
    centres = torch.randn(num_groups, 6, generator=generator)
    return centres[(groups + 5) // 10] + 1.0 * torch.randn(count, 6, generator=generator), groups


def by_looking_at_all(embeddings, groups, k, metric):
    similarity = similarity_matrix(embeddings, embeddings, metric).tolist()
    groups = groups.tolist()
    found = []
    for row in range(len(groups)):
        others = sorted((i for i in range(len(groups)) if i != row), key=lambda i: -similarity[row][i])[:k]
        if any(groups[i] == groups[row] for i in others):
            continue
        members = {g: [i for i in others if groups[i] == g] for g in {groups[i] for i in others}}
        mean = {g: sum(similarity[row][i] for i in rows) / len(rows) for g, rows in members.items()}
        best = max(members, key=lambda g: (len(members[g]), mean[g]))
        found.append((row, len(members[best]) / k * max(0.0, mean[best]), best, members[best][0]))
    return sorted(found, key=lambda one: -one[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("max_entries", [None, 100])
def test_they_are_those_that_comparing_all_objects_gives(metric, k, max_entries):
    some = 0
    for seed in range(5):
        embeddings, groups = blobs(seed)
        found = suspected_label_errors(embeddings, groups, k, distance_metric_name=metric, max_entries=max_entries)
        expected = by_looking_at_all(embeddings, groups, k, metric)
        some += len(expected)
        assert found.rows.tolist() == [row for row, *_ in expected]
        assert found.suspicion.tolist() == pytest.approx([one[1] for one in expected], abs=1e-5)
        assert found.suggested.tolist() == [one[2] for one in expected]
        assert found.examples.tolist() == [one[3] for one in expected]
        assert len(found) == len(expected)
    assert some > 10


def test_a_swapped_label_is_the_first_suspect_and_gets_its_own_group_back():
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(3).repeat_interleave(20)
    embeddings = torch.eye(3)[groups] + 0.1 * torch.randn(60, 3, generator=generator)
    swapped = groups.clone()
    swapped[33] = 2
    found = suspected_label_errors(embeddings, swapped)
    assert found.rows.tolist() == [33] and found.suggested.tolist() == [1]


def test_a_divided_neighbourhood_is_less_suspicious_than_one_of_one_mind():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.01], [1.0, -0.01], [0.0, 1.0], [0.01, 1.0], [-0.01, 1.0]])
    found = suspected_label_errors(embeddings, torch.tensor([0, 1, 2, 3, 4, 4]), k=2)
    assert found.rows[0] == 3  # both its neighbours are of group 4
    assert found.suspicion[0] > 0.9 and found.suspicion[1] < 0.6


def test_nothing_is_suspected_where_groups_are_apart():
    embeddings = torch.eye(2).repeat_interleave(5, dim=0)
    found = suspected_label_errors(embeddings, ["a"] * 5 + ["b"] * 5, k=4)
    assert len(found) == len(found.suspicion) == len(found.suggested) == len(found.examples) == 0


@pytest.mark.parametrize(
    ("embeddings", "groups", "k", "message"),
    [
        (torch.eye(3), torch.tensor([1, 1, 1]), 1, r"All 3 objects are of one group"),
        (torch.eye(3), torch.tensor([0, 1, 1]), 3, r"k=3 neighbours, but each object has 2"),
        (torch.full((3, 2), float("nan")), torch.tensor([0, 1, 1]), 1, r"hold NaN or infinity, the first in row 0"),
        (torch.empty(0, 2), torch.empty(0).long(), 1, r"There are no embeddings"),
        (torch.eye(3), torch.tensor([0, 1]), 1, r"There are 2 groups for 3 embeddings"),
    ],
)
def test_bad_input_is_refused(embeddings, groups, k, message):
    with pytest.raises(ValueError, match=message):
        suspected_label_errors(embeddings, groups, k)
