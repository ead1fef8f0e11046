import pickle

import pytest
import torch

from quaterion.batch import Batch, Features, GroupTargets, PairTargets


def pair_targets() -> PairTargets:
    return PairTargets(
        pairs=torch.tensor([[0, 2], [1, 3]]),
        scores=torch.tensor([1.0, 0.5]),
        subgroups=torch.tensor([0, 1, 0, 1]),
        ids=torch.arange(5),
        negatives=torch.tensor([[0, 4]]),
    )


def test_group_targets_give_the_documented_keyword_arguments() -> None:
    groups = torch.tensor([1, 1, 2])
    assert GroupTargets(groups).as_arguments() == {"groups": groups}


def test_pair_targets_give_the_documented_keyword_arguments() -> None:
    targets = pair_targets()
    arguments = targets.as_arguments()
    assert set(arguments) == {"pairs", "labels", "subgroups"}
    assert arguments["labels"] is targets.scores


@pytest.mark.parametrize("targets", [GroupTargets(torch.arange(3)), pair_targets()])
def test_moving_targets_moves_every_tensor(targets: GroupTargets | PairTargets) -> None:
    moved = targets.to("meta")
    assert type(moved) is type(targets)
    for before, after in zip(targets, moved, strict=True):
        if isinstance(before, torch.Tensor):
            assert (before.device.type, after.device.type) == ("cpu", "meta")
        else:
            assert after == before


def test_moving_a_batch_moves_nested_inputs_and_leaves_meta_alone() -> None:
    meta = [{"kind": "text"}]
    inputs = {"text": {"ids": torch.zeros(1, 3), "parts": [torch.ones(1), "a"]}}
    batch = Batch(Features({"image": torch.zeros(1, 2)}, inputs, meta), GroupTargets(torch.zeros(1)))
    moved = batch.to("meta")
    assert moved.features.cached["image"].device.type == "meta"
    assert moved.features.inputs["text"]["ids"].device.type == "meta"
    assert moved.features.inputs["text"]["parts"][0].device.type == "meta"
    assert moved.features.inputs["text"]["parts"][1] == "a"
    assert moved.features.meta is meta
    assert moved.targets.groups.device.type == "meta"


def test_a_batch_survives_pickling_between_processes() -> None:
    batch = Batch(Features({}, {"text": ["a"]}, [{}]), pair_targets())
    copy = pickle.loads(pickle.dumps(batch))
    assert isinstance(copy, Batch)
    assert torch.equal(copy.targets.pairs, batch.targets.pairs)
