"""Recipes: what they name, what they build, and what they refuse."""

import pytest
from torch import nn

from quaterion.loss import CombinedLoss, MultipleNegativesRankingLoss
from quaterion.tuning import Part, Recipe
from quaterion.tuning.search.space import candidates
from quaterion_models.heads import SkipConnectionHead, SwitchHead

LOSS = (Part("SoftmaxLoss"),)


def test_plain_values_and_back():
    recipe = Recipe(
        head=Part("SkipConnectionHead", {"skip_dropout": 0.25}),
        losses=(Part("SoftmaxLoss"), Part("SupConLoss", {"temperature": 0.2}, weight=0.5)),
        lr=0.02,
    )
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_a_loss_of_several_is_their_weighted_sum():
    loss = Recipe(losses=(Part("SoftmaxLoss"), Part("SupConLoss", weight=0.5))).build_loss(
        embedding_size=4, num_groups=3
    )
    assert isinstance(loss, CombinedLoss)
    assert list(loss.weights) == [1.0, 0.5]


def test_sizes_come_from_the_data():
    loss = Recipe(losses=(Part("ArcFaceLoss", {"margin": 0.1}),)).build_loss(embedding_size=4, num_groups=3)
    assert (loss.embedding_size, loss.num_groups) == (4, 3)
    assert isinstance(
        Recipe(losses=(Part("MultipleNegativesRankingLoss"),)).build_loss(embedding_size=4, num_groups=1),
        MultipleNegativesRankingLoss,
    )


def test_two_sides_have_a_head_each():
    head = Recipe(head=Part("SkipConnectionHead"), losses=LOSS, two_sided=True).build_head(4)
    assert isinstance(head, SwitchHead)
    assert head.two_sided
    assert {type(option) for option in head.options.values()} == {SkipConnectionHead}
    first, second = head.options.values()
    assert first is not second


def test_without_head_or_loss_nothing_is_trained():
    assert not list(Recipe().build_head(4).parameters())
    with pytest.raises(ValueError, match="no loss"):
        Recipe().build_loss(embedding_size=4, num_groups=2)
    assert Recipe().untouched
    assert Recipe(losses=LOSS).untouched
    assert not Recipe(two_sided=True, losses=LOSS).untouched


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"head": {"type": "os.system"}}, "no head that a recipe can name"),
        ({"losses": [{"type": "Module"}]}, "no loss that a recipe can name"),
        ({"head": {"type": "GatedHead", "args": {"gates": 1}}}, "has no argument gates"),
        ({"losses": [{"type": "SoftmaxLoss", "args": {"num_groups": 3}}]}, "without sizes"),
        ({"losses": "SoftmaxLoss"}, "expected a list of losses"),
        ({"lr": -1}, "expected a number from 0"),
        ({"epochs": 0}, "expected a whole number"),
        ({"momentum": 0.9}, "unknown settings momentum"),
        ({"head": "GatedHead"}, "expected a type"),
        ({"lr": "1e-3"}, r"lr='1e-3' in the recipe; expected a number from 0 to 1000 \(in YAML 1.000000e-03\)"),
        ({"lr": "small"}, "expected a number from 0 to 1000\\."),
        ({"epochs": True}, "epochs=True in the recipe; expected a whole number"),
        ({"seed": None}, "seed=None in the recipe; expected a whole number"),
        ({"group_names": "no"}, "group_names='no' in the recipe; expected true or false"),
        ({"two_sided": 1}, "two_sided=1 in the recipe; expected true or false"),
        ({"losses": [{"type": "SoftmaxLoss", "weight": "half"}]}, "weight='half' of the loss SoftmaxLoss"),
        ({"trainable_layers": 2}, "has trainable_layers=2 and no loss, so nothing of it would be trained"),
        ({"two_sided": True}, "has two_sided=True and no loss"),
        ({"head": {"type": "GatedHead"}}, "has the head GatedHead and no loss"),
    ],
)
def test_what_cannot_be_used_is_told(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict(values)


@pytest.mark.parametrize("form", ["groups", "pairs", "scored pairs", "match pairs"])
def test_candidates_can_be_built_and_repeat_with_the_seed(form):
    def some(seed):
        drawn = candidates(form, num_samples=500, size=16, seed=seed)
        return [next(drawn) for _ in range(40)]

    recipes = some(0)
    assert recipes == some(0)
    assert recipes != some(1)
    for recipe in recipes:
        head = recipe.build_head(16)
        loss = recipe.build_loss(embedding_size=head.output_size, num_groups=5)
        assert isinstance(loss, nn.Module)
        assert recipe.batch_size <= 500
        steps = recipe.epochs * -(-500 // recipe.batch_size)
        assert steps >= 60


def test_more_data_means_fewer_epochs():
    def epochs(count):
        return next(candidates("groups", num_samples=count, size=16, seed=0)).epochs

    assert epochs(100) == 200  # 2,000 over the root of 100
    assert epochs(10_000) == 20
    assert epochs(100_000_000) == 1
