"""A loss under test: how the checks call it, and how they compare what it gives."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from quaterion.loss import SimilarityLoss
from quaterion.testing.loss_problems import Problem, random_problems

__all__ = ["LossCase", "NotApplicable", "Outcome", "Reference", "assert_equal", "evaluate", "run"]

Reference = Callable[..., Tensor]
"""`reference(loss, embeddings, targets)`, and with a keyword `memory` for losses that can use one."""


class NotApplicable(Exception):  # noqa: N818 - no error: the check has nothing to say about this loss
    """A check has nothing to say about a loss."""


@dataclass(frozen=True)
class LossCase:
    """A loss under test, and what its author claims.

    Attributes:
        loss: The loss; the checks work on copies.
        reference: The same loss as a plain loop.
        minimum: Value on ideal embeddings.
        embedding_size: Components of the embeddings.
        seed: Seed of the random batches.
        device: Where the checks run.
    """

    loss: SimilarityLoss
    reference: Reference | None
    minimum: float | None
    embedding_size: int
    seed: int
    device: str

    def copy(self, dtype: torch.dtype = torch.float64) -> SimilarityLoss:
        """Return a copy of the loss with parameters of a type, on the device."""
        return copy.deepcopy(self.loss).to(device=self.device, dtype=dtype)

    def generator(self) -> torch.Generator:
        """Return a fresh source of randomness."""
        return torch.Generator().manual_seed(self.seed)

    def problems(self) -> list[Problem]:
        """Return random batches."""
        drawn = random_problems(self.loss, self.embedding_size, self.generator())
        return [problem.to(self.device) for problem in drawn]


class Outcome(NamedTuple):
    """Value of a loss and its gradients with respect to embeddings and parameters."""

    value: Tensor
    embeddings: Tensor
    parameters: list[Tensor]


def evaluate(
    loss: SimilarityLoss,
    problem: Problem,
    function: Callable[[Tensor], Tensor],
    autocast: torch.dtype | None = None,
) -> Outcome:
    """Call a loss, under autocast where asked for, and its backward pass, which belongs outside of autocast."""
    embeddings = problem.embeddings.detach().clone().requires_grad_()
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    with torch.autocast(embeddings.device.type, dtype=autocast, enabled=autocast is not None):
        value = function(embeddings)
    if value.ndim != 0:
        raise AssertionError(f"on {problem.name}: expected a scalar, got shape {tuple(value.shape)}")
    if not value.requires_grad:
        raise AssertionError(f"on {problem.name}: the value has no gradient, so training would fail or stop")
    gradients = torch.autograd.grad(value, [embeddings, *parameters], allow_unused=True)
    filled = [
        torch.zeros_like(source) if gradient is None else gradient
        for source, gradient in zip([embeddings, *parameters], gradients, strict=True)
    ]
    return Outcome(value.detach(), filled[0], filled[1:])


def run(loss: SimilarityLoss, problem: Problem, autocast: torch.dtype | None = None) -> Outcome:
    """Evaluate a loss on a batch."""
    return evaluate(loss, problem, lambda embeddings: loss.compute(embeddings, problem.targets), autocast)


def assert_equal(got: Outcome, expected: Outcome, context: str, tolerance: float = 1e-6) -> None:
    """Compare values and gradients, relative to the largest component."""
    pairs = [("value", got.value, expected.value), ("gradient", got.embeddings, expected.embeddings)]
    pairs += [
        ("gradient of a parameter", ours, theirs)
        for ours, theirs in zip(got.parameters, expected.parameters, strict=True)
    ]
    for what, ours, theirs in pairs:
        scale = float(theirs.abs().max().clamp(min=1.0)) if theirs.numel() else 1.0
        error = float((ours.double() - theirs.double()).abs().max()) if theirs.numel() else 0.0
        if not error <= tolerance * scale:
            shown = f": {float(ours):.9g} instead of {float(theirs):.9g}" if theirs.ndim == 0 else ""
            raise AssertionError(f"{context}: the {what} is off by {error:.3g}{shown}")
