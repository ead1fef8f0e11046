import pytest
import torch

from quaterion.functional import rounded_similarity
from quaterion.functional.ranked_lists import rank, ranked_lists


def described(similarity, relevant, depth):
    """Fields of one query's list, by sorting and counting."""
    order = sorted(range(len(similarity)), key=lambda i: -similarity[i])
    ties = [[j for j in order if similarity[j] == similarity[i]] for i in order[:depth]]
    ahead = [[j for j in order if similarity[j] > similarity[i]] for i in order[:depth]]
    hits = [sum(relevant[j] for j in tie) for tie in ties]
    hits_ahead = [sum(relevant[j] for j in before) for before in ahead]
    return [len(tie) for tie in ties], hits, [len(before) for before in ahead], hits_ahead


@pytest.mark.parametrize("seed", range(5))
def test_ties_are_counted_whole_even_where_they_reach_beyond_the_depth(seed):
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.randint(-3, 3, (20, 12), generator=generator).float()
    relevant = torch.rand(20, 12, generator=generator) < 0.4
    for depth in (1, 2, 5, 12):
        lists = rank(similarity, relevant, depth)
        fields = (lists.tie_size, lists.tie_relevant, lists.ahead, lists.relevant_ahead)
        for row in range(20):
            expected = described(similarity[row].tolist(), relevant[row].tolist(), depth)
            assert tuple(field[row].tolist() for field in fields) == expected


def test_the_best_relevant_candidate_is_found_among_negative_similarities():
    similarity = torch.tensor([[-0.1, -0.5, -0.5, -0.9], [-1.0, -1.0, -1.0, -1.0]])
    relevant = torch.tensor([[False, True, False, True], [False, False, True, False]])
    lists = rank(similarity, relevant, depth=0)
    assert lists.first_ahead.tolist() == [1, 0]
    assert lists.first_tie_size.tolist() == [2, 4]
    assert lists.first_tie_relevant.tolist() == [1, 1]
    assert lists.tie_size.shape == (2, 0)


def test_what_is_no_candidate_enters_no_list():
    similarity = torch.tensor([[-torch.inf, -5.0, -7.0]])
    lists = rank(similarity, torch.tensor([[False, False, True]]), depth=2)
    assert lists.ahead.tolist() == [[0, 1]]
    assert lists.tie_relevant.tolist() == [[0, 1]]


def blocks_of(points, groups, **options):
    same = groups.unsqueeze(1) == groups
    return ranked_lists(
        points,
        points,
        lambda rows: same[rows],
        same.sum(dim=1) - 1,
        metric="cosine",
        own_rows=torch.arange(len(points)),
        **options,
    )


def test_blocks_respect_their_bound_and_give_the_same_lists(monkeypatch):
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(300, 4, generator=generator)
    groups = torch.randint(60, (300,), generator=generator)
    largest = 0
    compute = rounded_similarity.prepared_similarity_matrix

    def measured(x, y, metric):
        nonlocal largest
        largest = max(largest, len(x) * len(y))
        return compute(x, y, metric)

    ((rows, whole),) = blocks_of(points, groups, depth=10)
    monkeypatch.setattr(rounded_similarity, "prepared_similarity_matrix", measured)
    bound = 5 * (300 + 12 * 10)
    parts = list(blocks_of(points, groups, depth=10, max_entries=bound))
    assert largest == 5 * 300
    assert len(parts) == -(-len(rows) // 5)
    assert torch.equal(torch.cat([part for part, _ in parts]), rows)
    for place, field in enumerate(whole):
        assert torch.equal(torch.cat([lists[place] for _, lists in parts]), field)


def test_queries_with_nothing_relevant_are_skipped():
    groups = torch.tensor([0, 1, 0, 2])
    ((rows, _),) = blocks_of(torch.eye(4), groups, depth=1)
    assert rows.tolist() == [0, 2]


def test_depth_follows_the_number_of_relevant_candidates_block_by_block():
    groups = torch.tensor([0] * 6 + [1] * 3 + [2] * 2)
    points = torch.randn(11, 3, generator=torch.Generator().manual_seed(3))
    bound = 11 + 12 * 5  # one query of the largest group to a block
    depths = {}
    for rows, lists in blocks_of(points, groups, depth=1, depth_num_relevant=True, max_entries=bound):
        for row in rows.tolist():
            depths[row] = lists.tie_size.shape[1]
            assert depths[row] >= int((groups == groups[row]).sum()) - 1
    assert sorted(depths) == list(range(11))
    assert depths[10] < depths[0]
