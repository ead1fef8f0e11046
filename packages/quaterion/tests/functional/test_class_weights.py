import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quaterion.functional.class_weights import arc_face_loss, class_scores, cos_face_loss, softmax_loss

Formula = Callable[[Tensor, Tensor, Tensor], Tensor]


def at(degrees: float) -> Tensor:
    angle = math.radians(degrees)
    return torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)


def test_class_scores_take_the_nearest_sub_centre() -> None:
    weight = torch.cat([at(0), at(90), at(180), at(270)])
    scores = class_scores(3 * at(80), weight, sub_centers=2)
    assert torch.allclose(scores, torch.tensor([[math.cos(math.radians(10)), math.cos(math.radians(100))]]).double())


def test_softmax_compares_by_cosine_or_by_dot_product() -> None:
    weight, groups = torch.eye(2).double() * 5, torch.tensor([0])
    loss = softmax_loss(3 * at(0), groups, weight, temperature=2.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1 / 2)))
    loss = softmax_loss(3 * at(0), groups, weight, temperature=2.0, normalized=False)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-15 / 2)))


def test_arc_face_adds_the_margin_to_the_angle() -> None:
    weight = torch.cat([at(0), at(90)])
    loss = arc_face_loss(at(30), torch.tensor([0]), weight, scale=2.0, margin=math.radians(20))
    logits = [2 * math.cos(math.radians(50)), 2 * math.cos(math.radians(60))]
    assert loss.item() == pytest.approx(math.log(sum(map(math.exp, logits))) - logits[0])


def test_arc_face_keeps_falling_beyond_pi() -> None:
    weight, margin = torch.cat([at(0), at(90)]), math.radians(40)
    losses = [
        arc_face_loss(at(angle), torch.tensor([0]), weight, scale=2.0, margin=margin).item()
        for angle in (130, 139, 141, 150, 170, 180)
    ]
    # cos(θ + m) would rise again after θ = 180° − 40°, which would reward the worst embeddings.
    target_logits = [2 * (math.cos(math.radians(a)) - margin * math.sin(margin)) for a in (150, 170, 180)]
    expected = [
        math.log(math.exp(t) + math.exp(2 * math.cos(math.radians(a - 90)))) - t
        for t, a in zip(target_logits, (150, 170, 180), strict=True)
    ]
    assert losses[3:] == pytest.approx(expected)


@pytest.mark.parametrize("degrees", [0, 180])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arc_face_has_a_finite_gradient_on_the_axis_of_its_weight(degrees: float, dtype: torch.dtype) -> None:
    weight = torch.cat([at(0), at(90)]).to(dtype).requires_grad_()
    embeddings = at(degrees).to(dtype).requires_grad_()
    arc_face_loss(embeddings, torch.tensor([0]), weight).backward()
    for tensor in (embeddings, weight):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_cos_face_takes_the_margin_off_the_cosine() -> None:
    weight = torch.cat([at(0), at(90)])
    loss = cos_face_loss(at(30), torch.tensor([0]), weight, scale=2.0, margin=0.1)
    logits = [2 * (math.cos(math.radians(30)) - 0.1), 2 * math.cos(math.radians(60))]
    assert loss.item() == pytest.approx(math.log(sum(map(math.exp, logits))) - logits[0])


@pytest.mark.parametrize("formula", [softmax_loss, arc_face_loss, cos_face_loss])
def test_unknown_groups_are_left_out(formula: Formula) -> None:
    weight, embeddings, groups = torch.randn(3, 4), torch.randn(5, 4), torch.tensor([0, -1, 2, 1, -1])
    known = groups >= 0
    assert torch.allclose(formula(embeddings, groups, weight), formula(embeddings[known], groups[known], weight))


@pytest.mark.parametrize("formula", [softmax_loss, arc_face_loss, cos_face_loss])
def test_blocks_of_rows_change_nothing(formula: Formula, compare_blocks: Callable[..., None]) -> None:
    weight, groups = torch.randn(7, 5).double(), torch.arange(20) % 7
    compare_blocks(lambda x: formula(x, groups, weight), torch.randn(20, 5))
