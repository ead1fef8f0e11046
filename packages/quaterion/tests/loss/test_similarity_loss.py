import copy
import json
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance
from quaterion.loss import (
    ArcFaceLoss,
    CenterLoss,
    CombinedLoss,
    ContrastiveLoss,
    CosFaceLoss,
    GroupLoss,
    MatryoshkaLoss,
    ProxyAnchorLoss,
    SimilarityLoss,
    SoftmaxLoss,
    TripletLoss,
)

PAIRS = PairTargets(
    torch.tensor([[0, 1]]), torch.ones(1), torch.zeros(2).long(), torch.arange(2), torch.zeros(0, 2).long()
)
GROUPS = GroupTargets(torch.tensor([0, 1]))


class Scaled(GroupLoss):
    """A user's loss, which records nothing itself."""

    def __init__(self, factor: float, *, names: tuple[str, ...] = (), **options: float) -> None:
        super().__init__(Distance.EUCLIDEAN)
        self.factor = factor

    def forward(self, embeddings: Tensor, groups: Tensor) -> Tensor:
        return self.factor * embeddings.sum()


def test_the_bases_are_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        SimilarityLoss()  # type: ignore[abstract]
    with pytest.raises(TypeError, match="abstract"):
        GroupLoss()  # type: ignore[abstract]


def test_hyper_parameters_are_recorded_with_their_defaults() -> None:
    assert TripletLoss(0.2, mining="all").get_config_dict() == {
        "margin": 0.2,
        "distance_metric_name": "cosine",
        "mining": "all",
        "soft": False,
        "relative": False,
    }


@pytest.mark.parametrize("build", [ArcFaceLoss, CenterLoss, CosFaceLoss, ProxyAnchorLoss, SoftmaxLoss])
def test_sizes_and_numbers_may_be_those_of_numpy(build: type[GroupLoss]) -> None:
    loss = build(np.int64(8), np.int64(5))  # type: ignore[arg-type]
    assert type(loss.num_groups) is int
    assert type(loss.embedding_size) is int
    assert json.loads(json.dumps(loss.get_config_dict()))["num_groups"] == 5
    assert TripletLoss(margin=np.float32(0.5)).get_config_dict()["margin"] == 0.5  # type: ignore[arg-type]


def test_a_users_loss_records_its_own_hyper_parameters() -> None:
    loss = Scaled(2.0, names=("a", "b"), slope=3.0)
    assert loss.get_config_dict() == {"factor": 2.0, "names": ["a", "b"], "slope": 3.0}
    assert repr(loss) == "Scaled(factor=2.0, names=['a', 'b'], slope=3.0)"
    assert loss.distance_metric_name is Distance.EUCLIDEAN
    assert loss.distance_metric.name == "euclidean"


def test_losses_among_the_arguments_become_their_types_and_hyper_parameters() -> None:
    loss = MatryoshkaLoss(CombinedLoss({"a": (TripletLoss(), 0.5)}), [4, 2])
    config = json.loads(json.dumps(loss.get_config_dict()))
    assert config["dims"] == [4, 2]
    assert config["loss"]["type"] == "CombinedLoss"
    inner, weight = config["loss"]["args"]["losses"]["a"]
    assert weight == 0.5
    assert inner == {"type": "TripletLoss", "args": TripletLoss().get_config_dict()}


def test_wrong_arguments_of_a_constructor_are_reported_as_usual() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'marjin'"):
        TripletLoss(marjin=0.2)  # type: ignore[call-arg]


def test_losses_survive_copying_and_pickling() -> None:
    loss = ArcFaceLoss(4, 3, margin=0.2)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin.get_config_dict() == loss.get_config_dict()
        assert torch.equal(twin.weight, loss.weight)


def test_a_recorded_module_is_no_child() -> None:
    class Holder(Scaled):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__(1.0)

    loss = Holder(nn.Linear(2, 2))
    assert list(loss.parameters()) == []
    assert loss.get_config_dict() == {"layer": {"type": "Linear"}}


def test_targets_of_the_wrong_kind_name_both_and_say_what_to_use() -> None:
    with pytest.raises(TypeError, match="TripletLoss takes GroupTargets, but the data gives PairTargets: use Group"):
        TripletLoss().check_targets(PAIRS)
    with pytest.raises(
        TypeError, match="ContrastiveLoss takes PairTargets, but the data gives GroupTargets: use Pairs"
    ):
        ContrastiveLoss().check_targets(GROUPS)
    with pytest.raises(TypeError, match="TripletLoss takes GroupTargets"):
        TripletLoss().compute(torch.zeros(2, 2), PAIRS)
    with pytest.raises(TypeError, match="ContrastiveLoss takes PairTargets"):
        ContrastiveLoss().compute(torch.zeros(2, 2), GROUPS)


def test_preparing_a_fit_checks_the_targets() -> None:
    with pytest.raises(TypeError, match="TripletLoss takes GroupTargets"):
        TripletLoss().check_targets(PAIRS)
