"""Which recipes are tried: starting points that often serve, then draws from wide ranges around them."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from quaterion.tuning.training.recipe import Part, Recipe

__all__ = ["candidates"]

T = TypeVar("T")

FACTORS = (0.5, 1.0, 2.0)
"""Lengths of a training that are drawn, over the usual one."""

EPOCHS, LEAST_STEPS, MOST_EPOCHS = 2000, 60, 300
"""The usual epochs are 2,000 over the root of the number of samples: 200 for 100 of them, 20 for 10,000, 2 for a
million; with few samples more of them, so that there are some steps, and never more than 300."""
SKIP, EMPTY, GATED, WIDE, STACKED = (
    "SkipConnectionHead",
    "EmptyHead",
    "GatedHead",
    "WideningHead",
    "StackedProjectionHead",
)


def candidates(form: str, *, num_samples: int, size: int, seed: int) -> Iterator[Recipe]:
    """Recipes without end, the same for the same arguments.

    Args:
        form: "groups", "pairs", "scored pairs" or "match pairs" (those with scores 0 and 1).
        num_samples: Samples to learn from, which decide how many epochs make a training.
        size: Length of the encoders' joined vectors.
        seed: Seed of the draws and of every recipe.

    Yields:
        Recipes, the starting points first.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    start: Sequence[Recipe]
    start, one = {
        "groups": (_GROUP_STARTS, _draw_for_groups),
        "pairs": (_PAIR_STARTS, _draw_for_pairs),
        "scored pairs": (_SCORED_STARTS, _draw_for_scores),
        "match pairs": (_MATCH_STARTS, _draw_for_matches),
    }[form]
    for recipe in start:
        yield _fitted(recipe, 1.0, num_samples, seed)
    while True:
        recipe = one(draw, size)
        yield _fitted(recipe, draw.choice(FACTORS), num_samples, seed)


def _fitted(recipe: Recipe, factor: float, num_samples: int, seed: int) -> Recipe:
    """Gives a recipe the epochs that suit the data."""
    batch_size = min(recipe.batch_size, max(2, num_samples))
    usual = factor * EPOCHS / math.sqrt(num_samples)
    epochs = max(usual, LEAST_STEPS / math.ceil(num_samples / batch_size), 1)
    return replace(recipe, batch_size=batch_size, epochs=round(min(epochs, MOST_EPOCHS)), seed=seed)


def _skip(dropout: float = 0.3, **more: Any) -> Part:
    return Part(SKIP, {"skip_dropout": dropout, **more})


_SOFTMAX, _SUP_CON = Part("SoftmaxLoss", {"temperature": 0.05}), Part("SupConLoss", {"temperature": 0.1})
_GROUP_STARTS = (
    Recipe(head=Part(EMPTY), losses=(_SOFTMAX,), lr=0.01),
    Recipe(head=_skip(), losses=(_SOFTMAX,), lr=0.01),
    Recipe(head=_skip(0.5), losses=(Part("SoftmaxLoss", {"temperature": 0.1}), _SUP_CON), lr=0.01),
    Recipe(head=_skip(), losses=(_SOFTMAX, _SUP_CON), lr=0.01),
    Recipe(head=Part(GATED, {"dropout": 0.3}), losses=(_SOFTMAX, _SUP_CON), lr=0.02),
    Recipe(head=_skip(), losses=(_SUP_CON,), lr=0.01),
    Recipe(head=Part(WIDE, {"dropout": 0.3, "activation_fn": "gelu"}), losses=(_SOFTMAX,), lr=0.001),
    Recipe(head=_skip(), losses=(Part("TripletLoss", {"margin": 0.3}),), lr=0.01),
)
_RANKING = Part("MultipleNegativesRankingLoss", {"scale": 20.0, "symmetric": True})
_PAIR_STARTS = (
    Recipe(head=_skip(), losses=(_RANKING,), lr=0.01, batch_size=256),
    Recipe(head=_skip(), losses=(_RANKING,), lr=0.01, batch_size=256, two_sided=True),
    Recipe(head=Part(GATED, {"dropout": 0.1}), losses=(_RANKING,), lr=0.02, batch_size=256),
    Recipe(head=_skip(0.5), losses=(_RANKING,), lr=0.003, batch_size=256, two_sided=True),
    Recipe(head=_skip(0.5), losses=(_RANKING,), lr=0.003, batch_size=1024),
    Recipe(head=Part(GATED, {"dropout": 0.1}), losses=(_RANKING,), lr=0.02, batch_size=256, two_sided=True),
)
_COSENT, _COSINE = Part("CoSENTLoss"), Part("CosineSimilarityLoss")
_SCORED_STARTS = (
    Recipe(head=_skip(), losses=(_COSENT,), lr=0.01, batch_size=256),
    Recipe(head=Part(GATED, {"dropout": 0.1}), losses=(_COSENT,), lr=0.02, batch_size=256),
    Recipe(head=_skip(), losses=(_COSINE,), lr=0.01, batch_size=256),
    Recipe(head=_skip(0.5), losses=(_COSENT, _COSINE), lr=0.003, batch_size=256),
    Recipe(head=Part(GATED, {"dropout": 0.1}), losses=(_COSINE,), lr=0.02, batch_size=256),
    Recipe(head=_skip(0.5), losses=(_COSENT,), lr=0.003, batch_size=1024),
)
_CONTRASTIVE = Part("ContrastiveLoss", {"margin": 0.5})
_MATCH_STARTS = (*_SCORED_STARTS, Recipe(head=_skip(), losses=(_CONTRASTIVE,), lr=0.01, batch_size=256))


def _draw_for_groups(draw: random.Random, size: int) -> Recipe:
    softmax = Part("SoftmaxLoss", {"temperature": draw.choice([0.03, 0.05, 0.07, 0.1, 0.15])})
    sup_con = Part("SupConLoss", {"temperature": draw.choice([0.05, 0.07, 0.1, 0.15])})
    options: list[tuple[float, Callable[[], tuple[Part, ...]]]] = [
        (6, lambda: (softmax, sup_con)),
        (4, lambda: (softmax,)),
        (2, lambda: (sup_con,)),
        (1, lambda: (Part("ArcFaceLoss", {"scale": draw.choice([16.0, 32.0]), "margin": draw.choice([0.1, 0.2])}),)),
        (1, lambda: (Part("CosFaceLoss", {"scale": draw.choice([16.0, 32.0]), "margin": draw.choice([0.1, 0.2])}),)),
        (1, lambda: (Part("ProxyAnchorLoss"),)),
        (1, lambda: (Part("MultiSimilarityLoss"), softmax)),
        (1, lambda: (Part("TripletLoss", {"margin": draw.choice([0.1, 0.3, 0.5])}),)),
    ]
    return _drawn(draw, size, _weighted(draw, options), batch_sizes=(128, 256, 512))


def _draw_for_pairs(draw: random.Random, size: int) -> Recipe:
    loss = Part(
        "MultipleNegativesRankingLoss",
        {"scale": draw.choice([10.0, 15.0, 20.0, 30.0]), "symmetric": draw.random() < 0.7},
    )
    recipe = _drawn(draw, size, (loss,), batch_sizes=(128, 256, 512, 1024))
    return replace(recipe, two_sided=draw.random() < 0.5)


def _draw_for_scores(draw: random.Random, size: int) -> Recipe:
    cosent = Part("CoSENTLoss", {"scale": draw.choice([10.0, 20.0, 30.0])})
    options: list[tuple[float, Callable[[], tuple[Part, ...]]]] = [
        (3, lambda: (cosent,)),
        (2, lambda: (_COSINE,)),
        (2, lambda: (cosent, _COSINE)),
    ]
    return _drawn(draw, size, _weighted(draw, options), batch_sizes=(128, 256, 512, 1024))


def _draw_for_matches(draw: random.Random, size: int) -> Recipe:
    if draw.random() < 0.7:
        return _draw_for_scores(draw, size)
    loss = Part("ContrastiveLoss", {"margin": draw.choice([0.3, 0.5, 0.7])})
    return _drawn(draw, size, (loss,), batch_sizes=(128, 256, 512, 1024))


def _drawn(draw: random.Random, size: int, losses: tuple[Part, ...], *, batch_sizes: Sequence[int]) -> Recipe:
    dropout = draw.choice([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    gentle, bold = _log_uniform(draw, 0.002, 0.04), _log_uniform(draw, 0.005, 0.1)
    options: list[tuple[float, Callable[[], tuple[Part, float]]]] = [
        (8, lambda: (_skip(dropout), gentle)),
        (3, lambda: (Part(SKIP, {"dropout": dropout / 2}), gentle)),
        (2, lambda: (_skip(dropout, n_layers=2), gentle)),
        (2, lambda: (Part(GATED, {"dropout": dropout}), bold)),
        (1, lambda: (Part(STACKED, {"output_sizes": [max(2, size // 2)], "dropout": dropout / 2}), gentle / 10)),
        (1, lambda: (Part(WIDE, {"dropout": dropout / 2, "activation_fn": "gelu"}), gentle / 10)),
    ]
    head, rate = _weighted(draw, options)
    return Recipe(
        head=head,
        losses=losses,
        lr=float(f"{rate:.2g}"),
        weight_decay=draw.choice([0.0, 0.01, 0.1]),
        batch_size=draw.choice(batch_sizes),
    )


def _log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def _weighted(draw: random.Random, options: Sequence[tuple[float, Callable[[], T]]]) -> T:
    make = draw.choices([make for _, make in options], [weight for weight, _ in options])[0]
    return make()
