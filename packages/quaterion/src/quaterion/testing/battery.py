"""One battery of checks for every similarity loss, a user's own included."""

from collections.abc import Collection

import torch

from quaterion.loss import SimilarityLoss
from quaterion.testing.loss_case import LossCase, NotApplicable, Reference
from quaterion.testing.loss_checks import CHECKS

__all__ = ["LossCheckError", "check_loss"]


class LossCheckError(AssertionError):
    """A loss failed the battery.

    Attributes:
        failures: What is wrong, by name of the check.
    """

    def __init__(self, loss: str, failures: dict[str, str]) -> None:
        self.failures = failures
        lines = "\n".join(f"  {name}: {message}" for name, message in failures.items())
        super().__init__(f"{loss} failed {len(failures)} of {len(CHECKS)} checks\n{lines}")


def check_loss(
    loss: SimilarityLoss,
    *,
    reference: Reference | None = None,
    minimum: float | None = None,
    skip: Collection[str] = (),
    embedding_size: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> dict[str, str]:
    """Run every check over a loss and raise one error that lists all that failed.

    The checks:

    - `scalar`: a finite, repeatable scalar in at least float32, inputs untouched.
    - `reference`: value and gradients equal a plain loop in float64 to 1e-6; only where one is passed.
    - `memory`: a cross-batch memory works in any order; only for losses that take one. Over groups an empty one gives
      0. Over pairs negatives in it raise the loss, and what may be no negative changes nothing.
    - `gradcheck`: the gradient is the derivative. Skip it where the loss detaches something on purpose.
    - `permutation`: the order of the rows does not matter.
    - `signs`: the gradient with respect to each positive similarity is ≤ 0, to each negative's ≥ 0; not for
      losses with class weights. Skip it where the loss promises otherwise, or looks at
      more than similarities.
    - `descent`: a small step against the gradient lowers the loss.
    - `minimum`: ideal embeddings give the known minimum where it is passed, and all-wrong ones more. The
      ideal batch has four groups of four, or four pairs (fewer where the loss or the embedding has fewer), an
      axis each; half of the pairs score 0 where the loss takes that.
    - `degenerate`: finite value and gradients where all embeddings are equal, a group is seen once, there is
      one row or none, a row is zero, an embedding equals its class weight; in float64, float32 and under both
      autocasts.
    - `autocast`: bf16 and fp16 autocast change nothing.
    - `compile`: `torch.compile(backend="aot_eager", fullgraph=True)` gives the same.
    - `config`: hyper-parameters go through JSON and give an equal loss.

    Args:
        loss: The loss, with hyper-parameters that make a typical use. A copy is tested.
        reference: `reference(loss, embeddings, targets)`, the same loss as a plain loop, in torch and with
            the same quantities detached so that it has the same gradient; with a keyword `memory=(embeddings,
            groups)`, or `memory=(embeddings, ids, subgroups)` over pairs, where the loss can use a cross-batch memory.
        minimum: The loss of ideal embeddings.
        skip: Names of checks to leave out.
        embedding_size: Components of the test embeddings; the loss's own `embedding_size` where it has one,
            else 8.
        seed: Seed of the random batches.
        device: Where the checks run.

    Returns:
        `"passed"`, or why the check was left out, by name of the check.

    Raises:
        LossCheckError: If a check fails.
        ValueError: If `skip` names an unknown check.

    Example:
        >>> from quaterion.loss import TripletLoss
        >>> check_loss(TripletLoss(margin=0.5), minimum=0.0, skip={"compile"})["signs"]
        'passed'
    """
    unknown = sorted(set(skip) - set(CHECKS))
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r} in skip: expected some of {', '.join(CHECKS)}")
    size = embedding_size or getattr(loss, "embedding_size", None) or 8
    case = LossCase(loss, reference, minimum, int(size), seed, str(device))
    results: dict[str, str] = {}
    failures: dict[str, str] = {}
    for name, check in CHECKS.items():
        if name in skip:
            results[name] = "skipped on request"
            continue
        try:
            check(case)
        except NotApplicable as reason:
            results[name] = f"skipped: {reason}"
        except AssertionError as error:
            failures[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a loss that raises has failed the check, the others go on
            failures[name] = f"raises {type(error).__name__}: {error}"
        else:
            results[name] = "passed"
    if failures:
        raise LossCheckError(repr(loss), failures)
    return results
