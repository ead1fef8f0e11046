"""Half precision through `fit`: losses and similarities stay in float32, and what is trained can be saved."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from quaterion import Quaterion
from quaterion.batch import GroupTargets
from quaterion.dataset import GroupSimilarityDataLoader
from quaterion.loss import ArcFaceLoss, CombinedLoss, GroupLoss, SupConLoss, TripletLoss
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


def test_weights_in_float16_are_refused(group_data, model_type, encoder_type, make_trainer):
    parts = (TripletLoss, CacheConfig(), group_data, model_type, encoder_type)
    with pytest.raises(ValueError, match="precision='16-true'.*epsilon of AdamW is 0.*Use '16-mixed' or 'bf16-true'"):
        trained(*parts, make_trainer(max_epochs=1, precision="16-true"))
    assert torch.tensor(torch.optim.AdamW([nn.Parameter(torch.ones(1))]).defaults["eps"], dtype=torch.float16) == 0


class Plain(GroupLoss):
    """Somebody's own loss, which does nothing about precision."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
        self.num_groups, self.dtypes = 5, set()

    def forward(self, embeddings, groups):
        self.dtypes.add((embeddings.dtype, self.weight.dtype))
        return nn.functional.cross_entropy((embeddings.unsqueeze(1) * self.weight).sum(dim=2), groups)


@pytest.mark.parametrize("precision", [*PRECISIONS, "64-true"])
@pytest.mark.parametrize("combined", [False, True])
def test_own_losses_get_at_least_float32_and_keep_their_weights_in_it(
    combined, precision, group_data, model_type, encoder_type, make_trainer
):
    own = Plain()
    make = lambda: CombinedLoss({"own": (own, 1.0), "triplet": (TripletLoss(), 1.0)}) if combined else own  # noqa: E731
    trainer = make_trainer(max_epochs=1, precision=precision)
    trained(make, CacheConfig(), group_data, model_type, encoder_type, trainer)
    expected = torch.float64 if precision == "64-true" else torch.float32
    assert own.dtypes == {(expected, expected)}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_of_losses_are_not_rounded_by_a_checkpoint(
    precision, group_data, model_type, encoder_type, make_trainer, tmp_path
):
    trainer = make_trainer(max_epochs=1, precision=precision)
    model, _ = trained(Plain, None, group_data, model_type, encoder_type, trainer)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    other = model_type(encoders=encoder_type(), head=SkipConnectionHead, loss=Plain())
    again = make_trainer(max_epochs=1, precision=precision)  # which has nothing left to do
    loader = GroupSimilarityDataLoader(group_data, batch_size=25)
    Quaterion.fit(other, again, loader, ckpt_path=tmp_path / "saved.ckpt")
    assert not torch.equal(model.loss.weight, Plain().weight) and torch.equal(other.loss.weight, model.loss.weight)


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
