"""The search's own loop against `Quaterion.fit`, which it stands for."""

import pytest
import torch

from quaterion.tuning import Part, Recipe
from quaterion.tuning.training.fit_recipe import fit_recipe, trained_head_of
from quaterion.tuning.training.head_training import train_head
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import VectorEncoder

SIZE = 32

CPU = torch.device("cpu")
SKIP = Part("SkipConnectionHead", {"skip_dropout": 0.3})
CASES = {
    "class weights and pairs within groups": (
        Recipe(head=SKIP, losses=(Part("SoftmaxLoss"), Part("SupConLoss"))),
        "groups",
    ),
    "triplets": (Recipe(head=Part("GatedHead", {"dropout": 0.2}), losses=(Part("TripletLoss"),)), "groups"),
    "two sides": (
        Recipe(head=SKIP, losses=(Part("MultipleNegativesRankingLoss"),), two_sided=True),
        "pairs",
    ),
    "scores": (Recipe(head=SKIP, losses=(Part("CoSENTLoss"), Part("CosineSimilarityLoss"))), "scored pairs"),
}


def samples_of(noisy, form):
    return noisy.group_samples(10) if form == "groups" else noisy.pair_samples(50, scored=form == "scored pairs")


@pytest.mark.parametrize("name", CASES)
def test_same_weights_as_quaterion_fit(noisy, name):
    recipe, form = CASES[name]
    recipe = Recipe.from_dict({**recipe.to_dict(), "lr": 0.01, "epochs": 3, "batch_size": 16, "seed": 5})
    samples, encoders = samples_of(noisy, form), {"default": VectorEncoder(SIZE)}
    vectors = SampleVectors(encoders, cache=None, device=CPU, progress=None)
    encoded = vectors.encode(samples, two_sided=recipe.two_sided)
    before = torch.get_rng_state()
    own = train_head(recipe, encoded, size=SIZE, device=CPU)
    assert torch.equal(torch.get_rng_state(), before)
    fitted = trained_head_of(fit_recipe(recipe, encoders, samples, cache=None, stores=vectors.stores))
    untrained = recipe.build_head(SIZE).state_dict()
    for key, value in fitted.head.state_dict().items():
        torch.testing.assert_close(own.head.state_dict()[key], value, rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, untrained[key])
    assert (own.class_weights is None) == (fitted.class_weights is None)
    if own.class_weights is not None:
        assert own.class_weights.labels == fitted.class_weights.labels
        torch.testing.assert_close(own.class_weights.weights, fitted.class_weights.weights, rtol=1e-5, atol=1e-6)


def test_embeddings_are_those_of_the_servable_model(noisy):
    recipe = Recipe(head=SKIP, losses=(Part("MultipleNegativesRankingLoss"),), two_sided=True, epochs=2, batch_size=16)
    samples, encoders = noisy.pair_samples(40), {"default": VectorEncoder(SIZE)}
    vectors = SampleVectors(encoders, cache=None, device=CPU, progress=None)
    encoded = vectors.encode(samples, two_sided=True)
    model = fit_recipe(recipe, encoders, samples, cache=None, stores=vectors.stores).model
    anchors, partners, negatives = encoded.embed(model.required_head())
    torch.testing.assert_close(anchors, model.encode_query([one.obj_a for one in samples], to_numpy=False))
    torch.testing.assert_close(partners, model.encode_document([one.obj_b for one in samples], to_numpy=False))
    assert negatives.shape == (0, SIZE)


def test_a_trainable_encoder_is_refused():
    encoder = VectorEncoder(SIZE)
    type_with_training = type("Trainable", (VectorEncoder,), {"trainable": property(lambda _: True)})
    with pytest.raises(ValueError, match="is trainable"):
        SampleVectors({"a": encoder, "b": type_with_training(SIZE)}, cache=None, device=CPU, progress=None)
