"""What a training by several processes refuses, before anything runs."""

import warnings

import pytest
import pytorch_lightning as pl
from torch.utils.data import DistributedSampler

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, MultiSimilarityDataLoader
from quaterion.loss import ArcFaceLoss, CombinedLoss, TripletLoss
from quaterion.train.cache import CacheConfig
from quaterion_models.heads import SkipConnectionHead, SwitchHead


@pytest.fixture
def make_several(make_trainer):
    return lambda **options: make_trainer(**{"devices": 3, "strategy": "ddp", "max_epochs": 1} | options)


def test_p_times_k_that_does_not_divide_is_refused(model_type, group_data, make_several):
    loader = GroupSimilarityDataLoader(group_data, groups_per_batch=2, samples_per_group=4)
    with pytest.raises(ValueError, match="P x K = 8 samples, which 3 processes cannot divide"):
        Quaterion.fit(model_type(), make_several(), loader)


def test_fewer_samples_than_processes_are_refused(model_type, group_data, make_several):
    with pytest.raises(ValueError, match="has 2 samples for 3 processes"):
        Quaterion.fit(model_type(), make_several(), GroupSimilarityDataLoader(group_data[:2], batch_size=2))


def test_a_data_set_without_a_whole_global_batch_is_refused_where_the_last_is_dropped(
    model_type, group_data, make_several
):
    loader = GroupSimilarityDataLoader(group_data, batch_size=20, drop_last=True)
    with pytest.raises(ValueError, match="50 samples, less than one global batch of batch_size=20 for each of 3"):
        Quaterion.fit(model_type(), make_several(), loader)


@pytest.mark.parametrize("validation", [False, True])
def test_a_sampler_that_divides_the_samples_is_refused(validation, model_type, group_data, make_several):
    whole = GroupSimilarityDataLoader(group_data, batch_size=8)
    divided = GroupSimilarityDataLoader(
        group_data, batch_size=8, sampler=DistributedSampler(group_data, num_replicas=3, rank=0)
    )
    loaders = (whole, {"held out": divided}) if validation else (divided,)
    name = "The validation set 'held out'" if validation else "The training set"
    with pytest.raises(ValueError, match=f"{name} has a DistributedSampler.*shuffle=True"):
        Quaterion.fit(model_type(), make_several(), *loaders)


@pytest.mark.parametrize(
    ("launcher", "environment"),
    [
        ("torchrun", {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}),
        ("srun", {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_NAME": "training",
                  "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}),
    ],
)  # fmt: skip
def test_a_trainer_of_one_device_among_several_processes_is_warned_of(
    launcher, environment, model_type, group_data, make_trainer, monkeypatch
):
    loader = GroupSimilarityDataLoader(group_data, batch_size=25)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*the Trainer has one device")
        Quaterion.fit(model_type(), make_trainer(max_epochs=1), loader)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match=f"{launcher} has started 2 processes, but the Trainer has one device"):
        Quaterion.fit(model_type(), make_trainer(max_epochs=1), loader)


def test_several_machines_need_a_folder_for_the_cache(model_type, group_data, make_several):
    loader = GroupSimilarityDataLoader(group_data, batch_size=8)
    with pytest.raises(ValueError, match="num_nodes=2, but CacheConfig has no save_dir"):
        Quaterion.fit(model_type(caches=CacheConfig()), make_several(num_nodes=2), loader)


def test_processes_that_are_copies_are_refused(model_type, group_data, make_several):
    loader = GroupSimilarityDataLoader(group_data, batch_size=8)
    with pytest.raises(ValueError, match="starts its processes by 'spawn'"):
        Quaterion.fit(model_type(), make_several(strategy="ddp_spawn"), loader)


def test_other_strategies_are_refused(model_type, group_data, make_several):
    loader = GroupSimilarityDataLoader(group_data, batch_size=8)
    strategy = pl.strategies.ModelParallelStrategy()
    with pytest.raises(ValueError, match="3 processes with ModelParallelStrategy"):
        Quaterion.fit(model_type(), make_several(strategy=strategy), loader)


def test_parameters_of_some_steps_need_the_strategy_for_them(model_type, group_data, make_several):
    loader = GroupSimilarityDataLoader(group_data, batch_size=8)
    switch = lambda size: SwitchHead({"x": SkipConnectionHead(size), "y": SkipConnectionHead(size)}, size)  # noqa: E731
    with pytest.raises(ValueError, match="those of the SwitchHead take part in some steps only"):
        Quaterion.fit(model_type(head=switch), make_several(), loader)
    losses = CombinedLoss({"a": (TripletLoss(), 1.0), "b": (ArcFaceLoss(8, 5), 1.0)})
    both = MultiSimilarityDataLoader({"a": loader, "b": loader})
    with pytest.raises(ValueError, match="those of losses by data set.*ddp_find_unused_parameters_true"):
        Quaterion.fit(model_type(loss=losses), make_several(), both)
