import itertools
from collections import Counter

import pytest
import torch

from quaterion.dataset import group_ids
from quaterion.eval import neighbours
from quaterion.eval.neighbours import checked_groups, checked_neighbours, votes


def by_counting(groups, similarities):
    counts = Counter(groups)
    means = {g: sum(s for h, s in zip(groups, similarities, strict=True) if h == g) / counts[g] for g in counts}
    best = max(counts, key=lambda g: (counts[g], means[g], -groups.index(g)))
    return best, groups.index(best), counts[best] / len(groups), means[best]


@pytest.mark.parametrize("entries", [2**22, 10])
def test_votes_are_those_that_counting_gives_for_every_order_of_three_groups(monkeypatch, entries):
    monkeypatch.setattr(neighbours, "VOTE_ENTRIES", entries)
    rows = list(itertools.product([5, 3, 9], repeat=4))
    similarities = [1.0, 0.5, 0.5, -0.25]  # eighths: exact in binary, so that means tie exactly
    found = votes(torch.tensor(rows), torch.tensor([similarities] * len(rows)))
    expected = [by_counting(list(row), similarities) for row in rows]
    assert list(zip(*(part.tolist() for part in found), strict=True)) == expected


def test_no_object_has_no_vote():
    assert all(len(part) == 0 for part in votes(torch.empty(0, 3, dtype=torch.int64), torch.empty(0, 3)))


def test_groups_may_be_labels():
    assert torch.equal(checked_groups(["a", "b"], 2), group_ids(["a", "b"]))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (torch.tensor([0, 0, 0]), r"All 3 objects are of one group \(tensor\(0\)\).*Expected two groups or more"),
        (["a", "a", "a"], r"All 3 objects are of one group \('a'\)"),
        (torch.tensor([0, 1]), r"There are 2 groups for 3 embeddings; expected one group for each"),
        (torch.zeros(3), r"groups has the shape \(3,\) and the type torch.float32; expected one integer"),
        (torch.zeros(3, 1).long(), r"groups has the shape \(3, 1\)"),
        (["a", None, "b"], r"Sample 1: A group is None"),
    ],
)
def test_groups_that_say_nothing_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        checked_groups(groups, 3)


@pytest.mark.parametrize("k", [0, 4, 1.0, True])
def test_a_k_that_no_object_has_is_refused(k):
    with pytest.raises(ValueError, match=rf"k={k!r} neighbours, but each object has 3 to choose from.*k in 1..3"):
        checked_neighbours(k, 3)
