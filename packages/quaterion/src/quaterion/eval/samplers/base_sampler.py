"""The base of both samplers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from quaterion.eval.encoding import ServableModel, servable, undisturbed
from quaterion.eval.group.group_metric import GroupMetric
from quaterion.eval.pair.pair_metric import PairMetric
from quaterion.eval.retrieval_task import RetrievalTask
from quaterion.eval.scored.scored_pair_metric import ScoredPairMetric
from quaterion.utils.numbers import is_whole_number
from quaterion.utils.progress import progress_bar

__all__ = ["BaseSampler"]


class BaseSampler(ABC):
    """Encodes a data set and chooses the queries that are evaluated, always over all candidates.

    Args:
        sample_size: Number of queries to evaluate, −1 for all. The sample is drawn among the queries that
            have something relevant; a data set with fewer of them is evaluated whole.
        encode_batch_size: Objects in a batch of the encoder.
        device: Where to encode and to search; None for where the model is. The model is moved back
            afterwards.
        log_progress: Whether to show progress bars, of encoding and of searching, on standard error.
        seed: Seed of the draw; equal seeds choose equal queries of a data set, whatever the model.

    Raises:
        ValueError: An argument is out of range.
    """

    metric_types: ClassVar[tuple[type[GroupMetric] | type[PairMetric] | type[ScoredPairMetric], ...]]
    """Kinds of metrics that the sampler serves."""

    def __init__(
        self,
        sample_size: int = -1,
        encode_batch_size: int = 16,
        device: torch.device | str | None = None,
        log_progress: bool = True,
        *,
        seed: int = 0,
    ) -> None:
        if not is_whole_number(sample_size) or sample_size == 0 or sample_size < -1:
            raise ValueError(f"sample_size={sample_size!r}; expected the number of queries, or -1 for all of them.")
        if not is_whole_number(encode_batch_size) or encode_batch_size < 1:
            raise ValueError(f"encode_batch_size={encode_batch_size!r}; expected 1 or more, such as 16.")
        self.sample_size = sample_size
        self.encode_batch_size = encode_batch_size
        self.device = device
        self.log_progress = log_progress
        self.seed = seed

    def task(self, dataset: Any, model: Any) -> RetrievalTask:
        """Encodes a data set.

        Args:
            dataset: Map-style data set or any iterable of samples.
            model: A `SimilarityModel`, or a `TrainableModel`; left as it was.

        Returns:
            All queries of the data set over all its candidates.

        Raises:
            UnscorableSetError: The data set is empty.
            TypeError: The data set holds something else, or the model cannot encode.
        """
        encoder = servable(model)
        total = len(dataset) if hasattr(dataset, "__len__") else None
        with (
            undisturbed(encoder, self.device) as device,
            progress_bar("Encoding", total, enabled=self.log_progress) as advance,
        ):
            return self._task(dataset, encoder, lambda: advance(1), device)

    def choose(self, num_relevant: Tensor) -> Tensor:
        """Chooses the queries to evaluate.

        Args:
            num_relevant: Relevant candidates of each query, `[Q]`.

        Returns:
            Their numbers in rising order, `[S]`.
        """
        able = (num_relevant > 0).nonzero().squeeze(1)
        if self.sample_size == -1 or self.sample_size >= len(able):
            return torch.arange(len(num_relevant), device=num_relevant.device)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randperm(len(able), generator=generator)[: self.sample_size]
        return able[drawn.sort().values.to(able.device)]

    @abstractmethod
    def _task(
        self, dataset: Any, model: ServableModel, advance: Callable[[], object], device: torch.device
    ) -> RetrievalTask:
        """Encodes a data set; calls `advance` after each sample."""


def search_device(device: torch.device) -> torch.device:
    """Where to search embeddings that were computed on a device: there, unless it knows no float64."""
    return torch.device("cpu") if device.type == "mps" else device
