import torch

from quaterion.eval.relevance import GroupRelevance, LinkRelevance


def test_objects_of_a_group_are_relevant_to_each_other():
    groups = torch.tensor([-7, 2**62, -7, 3, 2**62, -7])
    relevance = GroupRelevance(groups)
    assert relevance.num_groups == 3
    assert relevance.num_relevant.tolist() == [2, 1, 2, 0, 1, 2]
    assert torch.equal(relevance(torch.tensor([4, 0])), groups[[4, 0]].unsqueeze(1) == groups)


def test_groups_may_be_floats():
    assert GroupRelevance(torch.tensor([1.0, 2.0, 1.0])).num_relevant.tolist() == [1, 0, 1]


def brute(query_ids, candidate_ids, links):
    linked = {tuple(link) for link in links.tolist()}
    return [
        [q == c or (q, c) in linked or (c, q) in linked for c in candidate_ids.tolist()] for q in query_ids.tolist()
    ]


def test_links_bind_contents_in_both_directions():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ids = torch.randint(8, (15,), generator=generator) * 10**17 - 4
        links = ids[torch.randint(15, (6, 2), generator=generator)]  # some twice, some to themselves
        relevance = LinkRelevance(ids, ids, links, own=True)
        expected = torch.tensor(brute(ids, ids, links))
        queries = torch.randperm(15, generator=generator)[:6]
        assert torch.equal(relevance(queries), expected[queries])
        assert torch.equal(relevance.num_relevant, expected.sum(dim=1) - 1)


def test_queries_that_are_no_candidates_do_not_count_themselves():
    queries, candidates = torch.tensor([1, 2, 3]), torch.tensor([4, 4, 2])
    relevance = LinkRelevance(queries, candidates, torch.tensor([[1, 4], [4, 1]]), own=False)
    assert relevance.num_relevant.tolist() == [2, 1, 0]
    expected = [[True, True, False], [False, False, True], [False, False, False]]
    assert relevance(torch.arange(3)).tolist() == expected


def test_without_links_only_equal_objects_are_relevant():
    ids = torch.tensor([5, 6, 5])
    relevance = LinkRelevance(ids, ids, torch.empty(0, 2, dtype=torch.int64), own=True)
    assert relevance.num_relevant.tolist() == [1, 0, 1]
    assert relevance(torch.tensor([1])).tolist() == [[False, True, False]]
