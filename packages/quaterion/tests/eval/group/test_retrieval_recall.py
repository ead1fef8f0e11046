import torch

from quaterion.eval.group.retrieval_recall import RetrievalRecall


def test_one_relevant_candidate_among_the_first_k_is_enough():
    # From 0° the others are at 10°, 20°, 30° and 40°; of these the second and the fourth are relevant.
    angles = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 40]))
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    groups = torch.tensor([0, 1, 0, 1, 0])
    firsts = [RetrievalRecall(k, reduce_func=None).compute(points, groups)[0].item() for k in (1, 2, 3, 4)]
    assert firsts == [0, 1, 1, 1]
