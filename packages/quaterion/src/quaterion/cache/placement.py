"""Where cached vectors lie while a model trains: on the GPU, in memory, or on disk."""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from quaterion.cache.config import CacheType

__all__ = ["Placement", "choose_placement", "free_memory"]

ROOM = 0.5
"""The share of free memory that AUTO takes for vectors: the rest is for the model, its gradients and other programs."""


@dataclass(frozen=True)
class Placement:
    """A decision.

    Args:
        device: Where batches of vectors are taken from; the CPU for memory and disk.
        on_disk: Leave the vectors in the store's files, which are mapped, not read.
        reason: Why, for a message.
    """

    device: torch.device
    on_disk: bool
    reason: str


def choose_placement(wanted: CacheType, *, name: str, size: int, device: torch.device, has_folder: bool) -> Placement:
    """Decides where an encoder's vectors lie.

    Args:
        wanted: What the configuration asks for.
        name: The encoder's key, for messages.
        size: Bytes of the vectors.
        device: Where the model trains.
        has_folder: Whether the store has a folder to leave the vectors in.

    Returns:
        The decision.

    Raises:
        ValueError: What is asked for cannot be had.
    """
    cpu = torch.device("cpu")
    if wanted is CacheType.GPU:
        if device.type == "cpu":
            raise ValueError(
                f"The cache of encoder {name!r} is to lie on a GPU, but the Trainer uses the CPU. Use CacheType.AUTO, "
                "or a Trainer with accelerator='gpu'."
            )
        return Placement(device, on_disk=False, reason="as configured")
    if wanted is CacheType.DISK:
        if not has_folder:
            raise ValueError(
                f"The cache of encoder {name!r} is to lie on disk, but CacheConfig has no save_dir. Give it a folder."
            )
        return Placement(cpu, on_disk=True, reason="as configured")
    if wanted is CacheType.CPU:
        return Placement(cpu, on_disk=False, reason="as configured")
    if device.type != "cpu":
        free = free_memory(device)
        if size <= ROOM * free:
            return Placement(device, on_disk=False, reason=f"{_shown(size)} fit into the {_shown(free)} that are free")
    free = free_memory(cpu)
    if size <= ROOM * free or not has_folder:
        return Placement(cpu, on_disk=False, reason=f"{_shown(size)} of {_shown(free)} free memory")
    return Placement(
        cpu, on_disk=True, reason=f"{_shown(size)} are more than half of the {_shown(free)} of free memory"
    )


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device.

    Args:
        device: A device.

    Returns:
        Free bytes; of the CPU those within the limit of the process's container.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    return min(available, *_container_room(), available)


def _container_room() -> list[int]:
    """What is left of a Linux container's limit, which the machine's free memory does not know of."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return [] if limit == "max" else [max(0, int(limit) - int(used))]
    except (OSError, ValueError):
        return []


def _shown(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
