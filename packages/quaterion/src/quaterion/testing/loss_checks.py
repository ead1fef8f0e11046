"""The single checks of the loss battery; each raises an AssertionError that says what is wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from inspect import signature

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.testing.loss_case import LossCase, NotApplicable, Outcome, assert_equal, evaluate, run
from quaterion.testing.loss_problems import Problem, degenerate_problems, ideal_problems, independent_problem

__all__ = ["CHECKS"]


def check_scalar(case: LossCase) -> None:
    """The value is a finite scalar, repeatable, in at least float32; inputs stay untouched."""
    for problem in case.problems():
        for dtype, expected in (
            (torch.float64, torch.float64),
            (torch.float32, torch.float32),
            (torch.bfloat16, torch.float32),
        ):
            loss = case.copy(torch.float64 if dtype is torch.float64 else torch.float32)
            embeddings = problem.embeddings.to(dtype).requires_grad_()
            before = embeddings.detach().clone()
            tensors = [target for target in problem.targets if isinstance(target, Tensor)]
            targets_before = [target.clone() for target in tensors]
            value = loss.compute(embeddings, problem.targets)
            if value.ndim != 0 or not bool(value.isfinite()):
                raise AssertionError(f"on {problem.name}: expected a finite scalar, got {value}")
            if value.dtype != expected:
                raise AssertionError(
                    f"embeddings in {dtype} give a loss in {value.dtype}, expected {expected}: compute "
                    "similarities in at least float32 and leave float64 as it is"
                )
            if not torch.equal(value, loss.compute(embeddings, problem.targets)):
                raise AssertionError(f"on {problem.name}: two calls give different values")
            untouched = all(map(torch.equal, targets_before, tensors))
            if not (torch.equal(before, embeddings) and untouched):
                raise AssertionError(f"on {problem.name}: the loss changed its inputs in place")


def check_reference(case: LossCase) -> None:
    """Value and gradients equal a plain loop in float64."""
    reference = case.reference
    if reference is None:
        raise NotApplicable("no reference was passed")
    for problem in case.problems():
        loss = case.copy()
        expected = evaluate(loss, problem, lambda e, p=problem, m=loss: reference(m, e, p.targets))  # type: ignore[misc]
        assert_equal(run(loss, problem), expected, f"against the reference on {problem.name}")


def check_memory(case: LossCase) -> None:
    """A cross-batch memory is compared with, in any order; groups give 0 with an empty one, pairs gain negatives."""
    loss = case.copy()
    if not loss.supports_memory:
        raise NotApplicable("the loss compares with no other embeddings")
    first, second, last = case.problems()
    if isinstance(first.targets, GroupTargets):
        groups = first.targets.groups
        memory = (second.embeddings, groups[torch.arange(len(second.embeddings), device=groups.device) % len(groups)])
        empty = _against(loss, first, tuple(tensor[:0] for tensor in memory))
        if float(empty.value) != 0 or bool(empty.embeddings.any()):
            raise AssertionError(f"an empty memory must give exactly 0, got {float(empty.value)}")
        _check_memory_as_reference(case, loss, first, memory)
        return
    for batch, other in ((first, second), (last, last)):  # of several subgroups, and of one
        if isinstance(other.targets, PairTargets):
            rows = other.targets.pairs[:, 1]
            tags = other.targets.ids[rows], other.targets.subgroups[rows]
            _check_memory_as_reference(case, loss, batch, (other.embeddings[rows], *tags))
    _check_memory_of_negatives(loss, first, first.targets)


def _against(loss: SimilarityLoss, batch: Problem, memory: tuple[Tensor, ...]) -> Outcome:
    return evaluate(loss, batch, lambda e: loss.compute(e, batch.targets, memory=memory))


def _check_memory_as_reference(
    case: LossCase, loss: SimilarityLoss, batch: Problem, memory: tuple[Tensor, ...]
) -> None:
    outcome = _against(loss, batch, memory)
    flipped = _against(loss, batch, tuple(tensor.flip(0) for tensor in memory))
    assert_equal(outcome, flipped, "with the memory in another order")
    reference = case.reference
    if reference is not None and "memory" in signature(reference).parameters:
        expected = evaluate(loss, batch, lambda e: reference(loss, e, batch.targets, memory=memory))
        assert_equal(outcome, expected, "against the reference with a memory")


def _check_memory_of_negatives(loss: SimilarityLoss, batch: Problem, targets: PairTargets) -> None:
    """The memory of a pair loss: what may be no negative changes nothing, and a negative raises the loss."""
    targets = targets._replace(subgroups_used=True)
    anchors = targets.pairs[:, 0]
    # The hardest negatives there are: the anchors themselves, as objects that are no partner of anyone.
    rows, ids, subgroups = batch.embeddings[anchors], targets.ids[anchors], targets.subgroups[anchors]
    one_id, one_subgroup, elsewhere = ids[:1], subgroups[:1], subgroups + subgroups.max() + 1
    empty = (rows[:0], ids[:0], subgroups[:0])
    batch = replace(batch, targets=targets)
    before = _against(loss, batch, empty)
    if not isinstance(loss, CombinedLoss):  # which leaves out its losses without a memory
        assert_equal(before, run(loss, batch), "with an empty memory")
    for what, alike, memory in (
        (
            "objects equal to the partners",
            targets._replace(ids=one_id.expand_as(targets.ids)),
            (rows, one_id.expand_as(ids), elsewhere),
        ),
        (
            "objects of the anchors' own subgroup",
            targets._replace(subgroups=one_subgroup.expand_as(targets.subgroups)),
            (rows, ids, one_subgroup.expand_as(subgroups)),
        ),
    ):
        masked = replace(batch, targets=alike)
        without = _against(loss, masked, empty)
        assert_equal(_against(loss, masked, memory), without, f"with {what} in the memory, which are no negatives")
    after = _against(loss, batch, (rows, ids, elsewhere))
    if not after.value > before.value:
        raise AssertionError(
            f"negatives in the memory change the loss from {float(before.value):.9g} to {float(after.value):.9g}: "
            "they must raise it"
        )


def check_gradcheck(case: LossCase) -> None:
    """The gradient is the derivative, by finite differences; not so where the loss detaches something."""
    problem = case.problems()[0]
    loss = case.copy()
    embeddings = problem.embeddings.detach().clone().requires_grad_()
    try:
        gradcheck(lambda e: loss.compute(e, problem.targets), [embeddings], fast_mode=True)
    except GradcheckError as error:
        raise AssertionError(f"the gradient is not the derivative of the value: {error}") from None


def check_permutation(case: LossCase) -> None:
    """The order of the rows does not matter."""
    for problem in case.problems():
        loss = case.copy()
        shuffled = problem.permuted(case.seed + 1)
        got, expected = run(loss, shuffled), run(loss, problem)
        # Rows are recognised by their vectors, which are all different.
        rows = torch.cdist(shuffled.embeddings, problem.embeddings).argmin(dim=1)
        expected = expected._replace(embeddings=expected.embeddings[rows])
        assert_equal(got, expected, f"on {problem.name} in another order")


def check_signs(case: LossCase) -> None:
    """More similar positives never raise the loss, more similar negatives never lower it."""
    loss = case.copy()
    if getattr(loss, "num_groups", None) is not None:
        raise NotApplicable("the loss compares with class weights")
    if loss.distance_metric_name is Distance.MANHATTAN:
        raise NotApplicable("Manhattan distances are no function of dot products")
    problem, signs = independent_problem(loss, case.generator())
    problem, signs = problem.to(case.device), signs.to(case.device)
    # Unit vectors with a given matrix of similarities are its Cholesky factor: each similarity becomes a
    # variable.
    similarities = (problem.embeddings @ problem.embeddings.T).tril(-1).requires_grad_()
    identity = torch.eye(len(signs), dtype=similarities.dtype, device=similarities.device)
    factor = torch.linalg.cholesky(similarities + similarities.T + identity)
    (gradient,) = torch.autograd.grad(loss.compute(factor, problem.targets), similarities)
    wrong = (gradient * signs).tril(-1) > 1e-9 * gradient.abs().max()
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        kind = "positive" if signs[row, column] > 0 else "negative"
        raise AssertionError(
            f"the gradient with respect to the similarity of a {kind} pair is {gradient[row, column].item():.3g}: "
            "it must be at most 0 for positives and at least 0 for negatives"
        )
    if not gradient.any():
        raise AssertionError("the gradient is zero on a random batch")


def check_descent(case: LossCase) -> None:
    """One small step against the gradient lowers the loss."""
    for problem in case.problems():
        loss = case.copy()
        before = run(loss, problem)
        length = before.embeddings.norm()
        if not length > 0:
            if float(before.value) == 0:
                continue
            raise AssertionError(f"on {problem.name}: the gradient is zero though the loss is not")
        step = 1e-6 * problem.embeddings.norm() / length
        moved = Problem(problem.name, problem.embeddings - step * before.embeddings, problem.targets)
        after = run(loss, moved)
        if not after.value < before.value:
            raise AssertionError(
                f"on {problem.name}: a small step against the gradient changes the loss from "
                f"{float(before.value):.9g} to {float(after.value):.9g}"
            )


def check_minimum(case: LossCase) -> None:
    """Ideal embeddings give the known minimum, all-wrong ones more."""
    loss = case.copy()
    _align_class_weights(loss)
    ideal, wrong = (problem.to(case.device) for problem in ideal_problems(loss, case.embedding_size))
    best = float(run(loss, ideal).value)
    worst = float(run(loss, wrong).value)
    if not worst > best:
        raise AssertionError(f"ideal embeddings give {best:.6g}, all-wrong ones {worst:.6g}: expected more")
    if case.minimum is not None and abs(best - case.minimum) > 1e-6 * max(1.0, abs(case.minimum)):
        raise AssertionError(f"ideal embeddings give {best:.9g}, expected {case.minimum:.9g}")


def check_degenerate(case: LossCase) -> None:
    """Value and gradients are finite on degenerate batches, in every precision; nothing valid gives exactly 0."""
    for problem in degenerate_problems(case.loss, case.embedding_size, case.generator()):
        for dtype, autocast in (
            (torch.float64, None),
            (torch.float32, None),
            (torch.float32, torch.bfloat16),
            (torch.float32, torch.float16),
            (torch.bfloat16, torch.bfloat16),
            (torch.float16, torch.float16),
        ):
            loss = case.copy(torch.float64 if dtype is torch.float64 else torch.float32)
            typed = Problem(problem.name, problem.embeddings.to(dtype), problem.targets).to(case.device)
            outcome = run(loss, typed, autocast)
            where = f"on {problem.name} in {dtype}" + (f" under {autocast} autocast" if autocast else "")
            _assert_harmless(outcome, typed, where, case, nothing_valid=problem.nothing_valid)


def _assert_harmless(outcome: Outcome, problem: Problem, where: str, case: LossCase, *, nothing_valid: bool) -> None:
    if not outcome.value.isfinite():
        raise AssertionError(f"{where}: the loss is {float(outcome.value)}")
    for gradient in (outcome.embeddings, *outcome.parameters):
        if not gradient.isfinite().all():
            raise AssertionError(f"{where}: the gradient is not finite")
    if nothing_valid:
        if float(outcome.value) != 0:
            raise AssertionError(f"{where}: nothing is valid, expected exactly 0, got {float(outcome.value)}")
        if any(gradient.any() for gradient in (outcome.embeddings, *outcome.parameters)):
            raise AssertionError(f"{where}: nothing is valid, expected a gradient of zeros")
    zero_rows = ~problem.embeddings.any(dim=1, keepdim=True)
    if case.loss.distance_metric_name is Distance.COSINE and (outcome.embeddings * zero_rows).any():
        raise AssertionError(f"{where}: a row of norm 0 has similarity 0 to all, expected a gradient of zero")


def check_autocast(case: LossCase) -> None:
    """Autocast changes nothing: similarities keep float32."""
    for problem in case.problems():
        loss = case.copy(torch.float32)
        single = Problem(problem.name, problem.embeddings.float(), problem.targets)
        plain = run(loss, single)
        for dtype in (torch.bfloat16, torch.float16):
            assert_equal(run(loss, single, dtype), plain, f"on {problem.name} under {dtype} autocast", tolerance=1e-5)


def check_compile(case: LossCase) -> None:
    """`torch.compile(fullgraph=True)` takes the loss whole, so that nothing in it waits for data."""
    problem = case.problems()[0]
    loss = case.copy(torch.float32)
    single = Problem(problem.name, problem.embeddings.float(), problem.targets)
    torch.compiler.reset()
    try:
        compiled = torch.compile(lambda e: loss.compute(e, problem.targets), backend="aot_eager", fullgraph=True)
        outcome = evaluate(loss, single, compiled)
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the compiler raises is the finding
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AssertionError(
            f"torch.compile(fullgraph=True) fails, most often on boolean indexing, nonzero or .item(): {first}"
        ) from None
    finally:
        torch.compiler.reset()
    assert_equal(outcome, run(loss, single), "compiled", tolerance=1e-5)


def check_config(case: LossCase) -> None:
    """Hyper-parameters go through JSON, and with the saved state give an equal loss."""
    loss = case.copy()
    config = loss.get_config_dict()
    try:
        restored = json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"get_config_dict() does not go through JSON: {error}") from None
    if restored != config:
        raise AssertionError(f"get_config_dict() comes back from JSON as {restored}, not as {config}")
    if '"type":' in json.dumps(config):
        raise NotApplicable("a module among the arguments cannot be rebuilt from its hyper-parameters")
    twin = type(loss)(**config).to(device=case.device, dtype=torch.float64)
    twin.load_state_dict(loss.state_dict())
    problem = case.problems()[0]
    assert_equal(run(twin, problem), run(loss, problem), "built from its hyper-parameters and state")


def _align_class_weights(loss: SimilarityLoss) -> None:
    """Give each class an axis as its weight, so that ideal embeddings exist."""
    kinds = getattr(loss, "num_groups", None)
    if kinds is None:
        return
    for parameter in loss.parameters():
        if parameter.ndim == 2 and len(parameter) % kinds == 0:
            axes = torch.eye(kinds, parameter.shape[1], dtype=parameter.dtype, device=parameter.device)
            with torch.no_grad():
                parameter.copy_(axes.repeat_interleave(len(parameter) // kinds, dim=0))


CHECKS: dict[str, Callable[[LossCase], None]] = {
    "scalar": check_scalar,
    "reference": check_reference,
    "memory": check_memory,
    "gradcheck": check_gradcheck,
    "permutation": check_permutation,
    "signs": check_signs,
    "descent": check_descent,
    "minimum": check_minimum,
    "degenerate": check_degenerate,
    "autocast": check_autocast,
    "compile": check_compile,
    "config": check_config,
}
