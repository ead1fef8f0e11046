"""The hard triplet loss, which mines without gradient, against masking the full matrix of distances with gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness import interleaved, ratio
from quaterion.loss import TripletLoss

DIMENSION, GROUP_SIZE, MARGIN = 384, 4, 0.5


def masked(embeddings: Tensor, groups: Tensor) -> Tensor:
    """The same loss over the full matrix [B, B]."""
    unit = F.normalize(embeddings)
    distances = 1 - unit @ unit.T
    same = groups[:, None] == groups[None, :]
    itself = torch.eye(len(groups), dtype=torch.bool)
    farthest = distances.masked_fill(~same | itself, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    return F.relu(farthest - nearest + MARGIN).mean()


def run() -> dict[str, object]:
    figures: dict[str, object] = {}
    loss = TripletLoss(margin=MARGIN, mining="hard")
    for size in (256, 1024, 4096):
        generator = torch.Generator().manual_seed(0)
        embeddings = torch.randn(size, DIMENSION, generator=generator, requires_grad=True)
        groups = torch.arange(size) // GROUP_SIZE
        gradients = []
        for function in (loss, masked):
            value = function(embeddings, groups)
            gradients.append(torch.autograd.grad(value, embeddings)[0])
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)

        def step(function: object, embeddings: Tensor = embeddings, groups: Tensor = groups) -> None:
            embeddings.grad = None
            function(embeddings, groups).backward()  # type: ignore[operator]

        times = interleaved({"mined": lambda: step(loss), "masked": lambda: step(masked)})
        figures[f"speed-up at {size}"] = 1 / ratio(times, "mined", "masked")
        figures[f"seconds at {size}"] = times
    return figures
