"""What must hold before a training by several processes starts."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch.utils.data import IterableDataset

from quaterion.dataset.batch_samplers import GroupBatchSampler
from quaterion.dataset.similarity_data_loader import SimilarityDataLoader
from quaterion.train.lightning import launched, pl
from quaterion.train.trainable_model import TrainableModel
from quaterion_models.encoders import SwitchEncoder
from quaterion_models.heads import SwitchHead

__all__ = ["check_devices", "check_some_for_each"]


def check_devices(
    model: TrainableModel,
    trainer: pl.Trainer,
    training: Mapping[str, SimilarityDataLoader[Any]],
    validation: Mapping[str, SimilarityDataLoader[Any]],
) -> None:
    """Refuses a Trainer with several processes where they cannot share a training; warns where each is left alone.

    Args:
        model: The model.
        trainer: Its Trainer.
        training: Training loaders by what to call their data sets, such as "training set".
        validation: Validation loaders, likewise.

    Raises:
        ValueError: The strategy is another one than DDP or FSDP or leaves parameters out; the cache has no folder for
            several machines; a data set has no sample for a process, P × K batches cannot be divided, or a sampler
            divides the samples already.
    """
    strategy, size = trainer.strategy, trainer.world_size
    if size == 1:
        _warn_of_others()
        return
    ddp = isinstance(strategy, pl.strategies.DDPStrategy) and not isinstance(strategy, pl.strategies.DeepSpeedStrategy)
    if not ddp and not isinstance(strategy, pl.strategies.FSDPStrategy):
        raise ValueError(
            f"The Trainer has {size} processes with {type(strategy).__name__}; Quaterion gathers the batches of "
            "several processes with strategy='ddp' or, for large trained encoders, strategy='fsdp'. Use one of those."
        )
    method = getattr(strategy, "_start_method", "popen")
    if method != "popen":
        raise ValueError(
            f"The Trainer's strategy starts its processes by {method!r}, which would have to copy model and data into "
            "them. Use strategy='ddp' in a program, which each process runs from its beginning."
        )
    options = getattr(strategy, "_ddp_kwargs", {})
    if ddp and not options.get("find_unused_parameters") and (part := _sometimes_unused(model)):
        raise ValueError(
            f"The Trainer's strategy expects every parameter in every step, but those of {part} take part in some "
            "steps only. Use strategy='ddp_find_unused_parameters_true'."
        )
    caches = model.configure_caches()
    if trainer.num_nodes > 1 and caches is not None and caches.save_dir is None:
        raise ValueError(
            f"The Trainer has num_nodes={trainer.num_nodes}, but CacheConfig has no save_dir, through which machines "
            "share the cache. Give it a folder that all machines see."
        )
    for name, loader in {**training, **validation}.items():
        _check_sampler(name, loader)
    for name, loader in training.items():
        _check_divides(name, loader, size)


def check_some_for_each(name: str, samples: int, processes: int) -> None:
    """Refuses a data set with fewer samples than processes.

    Args:
        name: What to call it, such as "training set".
        samples: How many it has.
        processes: How many there are.

    Raises:
        ValueError: There are too few.
    """
    if samples < processes:
        raise ValueError(
            f"The {name} has {samples} samples for {processes} processes, so that one would have nothing to train on. "
            "Use fewer devices."
        )


def _warn_of_others() -> None:
    """Says that a launcher has started several processes, each of which is about to train a model of its own."""
    launcher, size = launched()
    if size > 1:
        warnings.warn(
            f"{launcher} has started {size} processes, but the Trainer has one device, so that each of them trains a "
            "model of its own. To train one together, pass pl.Trainer(devices=..., num_nodes=..., strategy='ddp').",
            stacklevel=4,
        )


def _check_sampler(name: str, loader: SimilarityDataLoader[Any]) -> None:
    """Refuses a sampler that gives each process a share, of which it would then take a slice."""
    for sampler in (loader.batch_sampler, loader.sampler, getattr(loader.batch_sampler, "sampler", None)):
        if getattr(sampler, "num_replicas", 1) > 1:
            raise ValueError(
                f"The {name} has a {type(sampler).__name__}, which gives each process a share of the samples. Expected "
                "the samples of all, of which each process takes its slice: leave the sampler out, and pass "
                "shuffle=True."
            )


def _check_divides(name: str, loader: SimilarityDataLoader[Any], size: int) -> None:
    """Refuses a data set of whose batches a process would get nothing, or unequal parts of composed ones."""
    sampler = loader.batch_sampler
    if isinstance(sampler, GroupBatchSampler) and sampler.batch_size % size:
        raise ValueError(
            f"The {name} is drawn in batches of P x K = {sampler.batch_size} samples, which {size} processes cannot "
            f"divide evenly. Expected groups_per_batch x samples_per_group to be a multiple of {size}."
        )
    if isinstance(loader.dataset, IterableDataset):
        return
    samples = len(loader.dataset)  # type: ignore[arg-type]
    check_some_for_each(name, samples, size)
    if loader.batch_size is not None and loader.drop_last and samples < loader.batch_size * size:
        raise ValueError(
            f"The {name} has {samples} samples, less than one global batch of batch_size={loader.batch_size} for each "
            f"of {size} processes, and drop_last=True drops them. Choose a smaller batch, or keep the last one."
        )


def _sometimes_unused(model: TrainableModel) -> str:
    """What of a model has parameters that some steps, or some slices of a batch, leave out."""
    if model.loss_by_source and any(one.requires_grad for one in model.loss.parameters()):
        return "losses by data set"
    for module in model.model.modules():
        chooses = isinstance(module, SwitchEncoder) or (isinstance(module, SwitchHead) and not module.two_sided)
        if chooses and any(one.requires_grad for one in module.parameters()):
            return f"the {type(module).__name__}"
    return ""
