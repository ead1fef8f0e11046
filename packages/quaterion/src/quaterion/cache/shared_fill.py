"""Filling a store by all processes of a training: in shares, through its folder or a temporary one."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from quaterion.cache.embedding_store import EmbeddingStore
from quaterion.cache.fill import Filling
from quaterion.cache.shared_folder import check_shared, shared_temporary_folder
from quaterion.utils.ranks import Ranks

if TYPE_CHECKING:
    from quaterion.cache.prepare import Progress

__all__ = ["filled"]


def filled(
    filling: Filling, ranks: Ranks, device: torch.device, *, progress: "Progress", fitting: bool
) -> EmbeddingStore:
    """Encodes what a store lacks; all processes call it.

    Args:
        filling: How the store is filled.
        ranks: The processes.
        device: Where the encoder runs.
        progress: Opens progress bars.
        fitting: Whether to find by trial how many objects the device takes at once.

    Returns:
        The store with all objects: the same one, or one in memory where vectors in memory had to reach other processes.
    """
    store = filling.store
    if ranks.size == 1:
        _run(filling, ranks, device, progress, fitting)
        return store
    if store.folder is not None:
        check_shared(store.folder, ranks)
        _run(filling, ranks, device, progress, fitting)
        return store
    with shared_temporary_folder(ranks) as folder:  # vectors in memory reach the other processes through files
        if ranks.rank == 0:
            store.copy_to(folder / "store")
        ranks.gather(None)
        shared = store.alike(folder / "store")
        ranks.gather(None)
        _run(replace(filling, store=shared), ranks, device, progress, fitting)
        return shared.copy_to(None)


def _run(filling: Filling, ranks: Ranks, device: torch.device, progress: "Progress", fitting: bool) -> None:
    plan = filling.plan()
    if fitting:
        size = min(ranks.gather(filling.fitting_batch_size(plan, device)))
        filling, plan = replace(filling, batch_size=size), replace(plan, batch_size=size)
    with progress(f"Encoding ({filling.name})", len(plan)) as advance:
        filling.run(plan, advance)
