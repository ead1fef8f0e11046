import copy
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning import losses, miners
from torch import nn

from quaterion.batch import GroupTargets
from quaterion.loss import TripletLoss
from quaterion.loss.extras import PytorchMetricLearningWrapper

EMBEDDINGS = torch.randn(24, 16, generator=torch.Generator().manual_seed(0))
GROUPS = torch.arange(24) % 6

# Built in the tests: some of them warn while they are built.
Factory = Callable[[], nn.Module]

OVER_PAIRS: list[Factory] = [
    lambda: losses.AngularLoss(),
    lambda: losses.CircleLoss(),
    lambda: losses.ContrastiveLoss(),
    lambda: losses.DynamicSoftMarginLoss(),
    lambda: losses.GeneralizedLiftedStructureLoss(),
    lambda: losses.IntraPairVarianceLoss(),
    lambda: losses.LiftedStructureLoss(),
    lambda: losses.MarginLoss(),
    lambda: losses.MultiSimilarityLoss(),
    lambda: losses.NCALoss(),
    lambda: losses.NTXentLoss(),
    lambda: losses.SignalToNoiseRatioContrastiveLoss(),
    lambda: losses.SupConLoss(),
    lambda: losses.ThresholdConsistentMarginLoss(),
    lambda: losses.TripletMarginLoss(),
    lambda: losses.TupletMarginLoss(),
]
WITHIN_THE_BATCH: list[Factory] = [
    lambda: losses.CrossBatchMemory(losses.ContrastiveLoss(), 16),
    lambda: losses.FastAPLoss(),
    lambda: losses.HistogramLoss(),
    lambda: losses.InstanceLoss(),
    lambda: losses.MultipleLosses([losses.ContrastiveLoss(), losses.TripletMarginLoss()]),
    lambda: losses.NPairsLoss(),
    lambda: losses.PNPLoss(),
    lambda: losses.RankedListLoss(margin=0.4, Tn=1),
    lambda: losses.SmoothAPLoss(),
]
WITH_CLASS_WEIGHTS: list[Factory] = [
    lambda: losses.ArcFaceLoss(6, 16),
    lambda: losses.CosFaceLoss(6, 16),
    lambda: losses.LargeMarginSoftmaxLoss(6, 16),
    lambda: losses.MarginLoss(num_classes=6),
    lambda: losses.NormalizedSoftmaxLoss(6, 16),
    lambda: losses.P2SGradLoss(16, 6),
    lambda: losses.ProxyAnchorLoss(6, 16),
    lambda: losses.ProxyNCALoss(6, 16),
    lambda: losses.SoftTripleLoss(6, 16),
    lambda: losses.SphereFaceLoss(6, 16),
    lambda: losses.SubCenterArcFaceLoss(num_classes=6, embedding_size=16),
    lambda: losses.MultipleLosses([losses.TripletMarginLoss(), losses.ArcFaceLoss(6, 16), losses.ProxyNCALoss(6, 16)]),
]
MINERS: list[Factory] = [
    lambda: miners.AngularMiner(),
    lambda: miners.BatchEasyHardMiner(),
    lambda: miners.BatchHardMiner(),
    lambda: miners.DistanceWeightedMiner(),
    lambda: miners.HDCMiner(),
    lambda: miners.MultiSimilarityMiner(),
    lambda: miners.PairMarginMiner(),
    lambda: miners.TripletMarginMiner(),
    lambda: miners.UniformHistogramMiner(),
]


def name(factory: Factory) -> str:
    return factory.__code__.co_names[1]  # losses.Name(...)


# Some of the library's own losses warn of what NumPy and torch are about to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning"),
]


@pytest.mark.parametrize("build", OVER_PAIRS + WITHIN_THE_BATCH + WITH_CLASS_WEIGHTS, ids=name)
def test_it_gives_what_the_wrapped_loss_gives(build: Factory) -> None:
    loss = build()
    wrapped = PytorchMetricLearningWrapper(copy.deepcopy(loss))
    embeddings = EMBEDDINGS.clone().requires_grad_()
    value = wrapped(embeddings, GROUPS)
    value.backward()
    assert torch.allclose(value, loss(EMBEDDINGS, GROUPS))
    assert embeddings.grad is not None
    assert embeddings.grad.any()


@pytest.mark.parametrize("build", OVER_PAIRS, ids=name)
def test_losses_over_pairs_compare_with_a_memory(build: Factory) -> None:
    loss = build()
    wrapped = PytorchMetricLearningWrapper(copy.deepcopy(loss))
    assert wrapped.supports_memory
    assert wrapped.num_groups is None
    memory, memory_groups = EMBEDDINGS.flip(0)[:10] + 0.1, GROUPS.flip(0)[:10]
    got = wrapped.compute(EMBEDDINGS, GroupTargets(GROUPS), memory=(memory, memory_groups))
    assert torch.allclose(got, loss(EMBEDDINGS, GROUPS, ref_emb=memory, ref_labels=memory_groups))


@pytest.mark.parametrize("build", WITH_CLASS_WEIGHTS, ids=name)
def test_losses_with_class_weights_know_their_groups_and_skip_unknown_ones(build: Factory) -> None:
    loss = build()
    wrapped = PytorchMetricLearningWrapper(loss)
    assert wrapped.num_groups == 6
    groups = GROUPS.clone()
    groups[::4] = -1
    known = groups >= 0
    assert torch.allclose(wrapped(EMBEDDINGS, groups), loss(EMBEDDINGS[known], groups[known]))
    assert wrapped(EMBEDDINGS, torch.full_like(groups, -1)) == 0


@pytest.mark.parametrize("build", WITH_CLASS_WEIGHTS, ids=name)
def test_class_weights_classify(build: Factory) -> None:
    wrapped = PytorchMetricLearningWrapper(build())
    vectors = wrapped.class_vectors
    if isinstance(wrapped.loss, losses.MarginLoss):  # its weight of a class is one number
        assert vectors is None
        return
    assert vectors is not None
    # One vector of each class: as embeddings they fit their own classes, and not those of others.
    embeddings, classes = vectors.detach().unflatten(0, (6, -1))[:, 0], torch.arange(6)
    own = [wrapped(embeddings[[c]].repeat(2, 1), torch.tensor([c, c])) for c in classes.tolist()]
    other = [wrapped(embeddings[[c]].repeat(2, 1), torch.tensor([(c + 1) % 6] * 2)) for c in classes.tolist()]
    assert all(mine < theirs for mine, theirs in zip(own, other, strict=True))


def test_losses_over_pairs_have_no_class_weights() -> None:
    assert PytorchMetricLearningWrapper(losses.TripletMarginLoss()).class_vectors is None


@pytest.mark.parametrize("build", WITHIN_THE_BATCH, ids=name)
def test_losses_that_take_no_reference_refuse_a_memory(build: Factory) -> None:
    loss = build()
    wrapped = PytorchMetricLearningWrapper(loss)
    assert not wrapped.supports_memory
    with pytest.raises(TypeError, match="PytorchMetricLearningWrapper cannot use a cross-batch memory"):
        wrapped.check_memory()


@pytest.mark.parametrize("build", MINERS, ids=name)
def test_every_miner_chooses_the_pairs_of_the_batch_and_of_the_memory(build: Factory) -> None:
    miner = build()
    loss = losses.ContrastiveLoss()
    wrapped = PytorchMetricLearningWrapper(loss, miner)
    memory, memory_groups = EMBEDDINGS.flip(0)[:10] + 0.1, GROUPS.flip(0)[:10]
    for reference in ({}, {"ref_emb": memory, "ref_labels": memory_groups}):
        torch.manual_seed(0)
        expected = loss(EMBEDDINGS, GROUPS, miner(EMBEDDINGS, GROUPS, **reference), **reference)
        torch.manual_seed(0)
        passed = {"reference": memory, "reference_groups": memory_groups} if reference else {}
        assert torch.allclose(wrapped(EMBEDDINGS, GROUPS, **passed), expected)


def test_triplets_that_are_already_in_the_batch() -> None:
    loss = PytorchMetricLearningWrapper(losses.TripletMarginLoss(), miners.EmbeddingsAlreadyPackagedAsTriplets())
    assert loss(EMBEDDINGS, GROUPS).isfinite()


def test_half_precision_and_autocast_compute_in_float32() -> None:
    wrapped = PytorchMetricLearningWrapper(losses.TripletMarginLoss())
    expected = wrapped(EMBEDDINGS.bfloat16().float(), GROUPS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert wrapped(EMBEDDINGS.bfloat16(), GROUPS) == expected


def test_no_rows_or_an_empty_memory_give_zero() -> None:
    wrapped = PytorchMetricLearningWrapper(losses.TripletMarginLoss(), miners.BatchHardMiner())
    embeddings = EMBEDDINGS.clone().requires_grad_()
    nothing = (EMBEDDINGS[:0], GROUPS[:0])
    for value in (wrapped(embeddings[:0], GROUPS[:0]), wrapped.xbm_loss(embeddings, GROUPS, *nothing)):
        value.backward()
        assert value == 0


def test_hyper_parameters_name_what_is_wrapped() -> None:
    wrapped = PytorchMetricLearningWrapper(losses.TripletMarginLoss(), miners.BatchHardMiner())
    assert wrapped.get_config_dict() == {"loss": {"type": "TripletMarginLoss"}, "miner": {"type": "BatchHardMiner"}}


@pytest.mark.parametrize(
    "loss", [losses.VICRegLoss(), losses.SelfSupervisedLoss(losses.NTXentLoss()), losses.ManifoldLoss(l=16)]
)
def test_losses_without_groups_are_refused(loss: nn.Module) -> None:
    with pytest.raises(TypeError, match=f"{type(loss).__name__} learns without groups"):
        PytorchMetricLearningWrapper(loss)


def test_a_class_instead_of_an_object_is_refused() -> None:
    with pytest.raises(TypeError, match="loss must be an object of pytorch_metric_learning, got <class"):
        PytorchMetricLearningWrapper(losses.TripletMarginLoss)
    with pytest.raises(TypeError, match="miner must be an object of pytorch_metric_learning, got 'hard'"):
        PytorchMetricLearningWrapper(TripletLoss(), "hard")  # type: ignore[arg-type]
