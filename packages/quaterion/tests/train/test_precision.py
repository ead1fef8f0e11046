"""Half precision through `fit`: losses and similarities stay in float32, and what is trained can be saved."""

import math

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.batch import GroupTargets
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import ArcFaceLoss, SupConLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.heads import SkipConnectionHead

PRECISIONS = ["bf16-mixed", "bf16-true"]
LOSSES = {"triplet": TripletLoss, "sup_con": SupConLoss, "arc_face": lambda: ArcFaceLoss(8, 5)}


def trained(make, caches, group_data, model_type, encoder_type, trainer, *, compiled=False):
    """A model after a few epochs, and the loss of its last epoch."""
    torch.manual_seed(0)
    model = model_type(encoders=encoder_type(), head=SkipConnectionHead, loss=make(), caches=caches)
    model.process_results = lambda **_: None
    model.compile_step = compiled
    Quaterion.fit(model, trainer, GroupSimilarityDataLoader(group_data, batch_size=25))
    return model, float(trainer.callback_metrics["train_loss"])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("caches", [None, CacheConfig(), CacheConfig(dtype="float16")])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_near_that_of_float32_and_the_model_is_served(
    loss, caches, precision, group_data, model_type, encoder_type, make_trainer, tmp_path
):
    parts = (LOSSES[loss], caches, group_data, model_type, encoder_type)
    _, expected = trained(*parts, make_trainer(max_epochs=3))
    model, found = trained(*parts, make_trainer(max_epochs=3, precision=precision))
    assert math.isfinite(found) and found == pytest.approx(expected, rel=0.05)
    dtype = torch.bfloat16 if precision == "bf16-true" else torch.float32
    assert {one.dtype for one in model.model.head.parameters()} == {dtype}
    objects = [sample.obj for sample in group_data]
    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model", classes=[encoder_type])
    assert {one.dtype for one in loaded.required_head().parameters()} == {dtype}
    # The encoder of these tests takes float32 numbers, so what is served is cast, which loses nothing.
    assert np.array_equal(loaded.float().encode(objects), model.model.float().encode(objects))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_losses_are_given_float32_or_compute_in_it(
    precision, caches, group_data, model_type, encoder_type, make_trainer
):
    values, targets = [], GroupTargets(torch.arange(6) // 2)
    for make in LOSSES.values():
        model, _ = trained(
            make, caches, group_data, model_type, encoder_type, make_trainer(max_epochs=1, precision=precision)
        )
        embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            half = model.loss.compute(embeddings, targets)
        with torch.no_grad():
            full = model.loss.float().compute(embeddings.float(), targets)
        assert half.dtype == torch.float32
        values.append((float(half.detach()), float(full)))
    for half, full in values:  # far closer than bfloat16, which has 8 bits, would be
        assert half == pytest.approx(full, rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch, about its own code
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_compiled_step_computes_the_same(precision, group_data, model_type, encoder_type, make_trainer):
    parts = (SupConLoss, CacheConfig(), group_data, model_type, encoder_type)
    plain, expected = trained(*parts, make_trainer(max_epochs=2, precision=precision))
    compiled, found = trained(*parts, make_trainer(max_epochs=2, precision=precision), compiled=True)
    assert found == pytest.approx(expected, rel=1e-2)
    for one, other in zip(plain.model.head.parameters(), compiled.model.head.parameters(), strict=True):
        torch.testing.assert_close(other, one, atol=2e-2, rtol=2e-2)
