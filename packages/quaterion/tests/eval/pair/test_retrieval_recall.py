import torch

from quaterion.eval.pair.retrieval_recall import RetrievalRecall


def test_one_relevant_candidate_among_the_first_k_is_enough():
    # From 0° the others are at 10°, 20° and 30°; the partner is the second.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = torch.tensor([[0, 2], [1, 3]])
    firsts = [
        RetrievalRecall(k, reduce_func=None).compute(points, torch.ones(2), pairs, torch.zeros(4))[0].item()
        for k in (1, 2, 3)
    ]
    assert firsts == [0, 1, 1]
