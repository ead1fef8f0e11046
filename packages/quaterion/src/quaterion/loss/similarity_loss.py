"""The base of every loss."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from quaterion.batch import GroupTargets, PairTargets
from quaterion.distances import Distance, DistanceMetric

__all__ = ["SimilarityLoss", "wrong_targets"]


class SimilarityLoss(nn.Module, ABC):
    """A function of embeddings and targets that is small where similar objects lie close together.

    Derive from `GroupLoss` or `PairwiseLoss`; the base of both only holds what they share. The arguments of
    the constructor are recorded as they were passed, see `get_config_dict`. Parameters and buffers stay in float32
    where a model is cast to half precision: class weights that learn in bfloat16 lose their small steps.

    Args:
        distance_metric_name: How embeddings are compared.

    Raises:
        ValueError: If the distance is unknown.
    """

    target_type: type[GroupTargets] | type[PairTargets]
    """Which targets the loss takes; `fit` compares them with the data set's."""

    num_groups: int | None = None
    """How many groups a loss with class weights knows; None for losses without."""

    _recorded: dict[str, Any]

    _arguments: ClassVar[frozenset[str]]
    """Names of what `forward` takes: looked up once for each class, not in each step."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note what `forward` takes."""
        super().__init_subclass__(**kwargs)
        cls._arguments = frozenset(inspect.signature(cls.forward).parameters)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments of the constructor."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:  # the constructor itself is about to say so; copying passes no arguments at all
            return self
        bound.apply_defaults()
        recorded = dict(list(bound.arguments.items())[1:])
        for parameter in inspect.signature(cls.__init__).parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                recorded |= recorded.pop(parameter.name, {})
        # Past nn.Module, which is not initialised yet and would register a loss among the arguments as a
        # child.
        self.__dict__["_recorded"] = recorded
        return self

    def __init__(self, distance_metric_name: Distance | str = Distance.COSINE) -> None:
        super().__init__()
        self._distance = Distance(distance_metric_name)

    @property
    def distance_metric_name(self) -> Distance:
        """How embeddings are compared."""
        return self._distance

    @property
    def distance_metric(self) -> DistanceMetric:
        """The distance itself, with its functions."""
        return Distance.get_by_name(self._distance)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the hyper-parameters: every argument of the constructor, in types that JSON knows.

        `type(loss)(**loss.get_config_dict())` builds an equal loss where no argument is a module. A module
        among the arguments becomes its type's name and its own hyper-parameters.

        Returns:
            Arguments by name, defaults included.
        """
        return {name: _plain(value) for name, value in self._recorded.items()}

    @abstractmethod
    def compute(
        self,
        embeddings: Tensor,
        targets: GroupTargets | PairTargets,
        *,
        memory: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Compute the loss of a batch from its targets; training calls this, whatever the loss takes.

        Args:
            embeddings: `[B, D]`.
            targets: Targets of the same rows, of the kind `target_type`.
            memory: `[M, D]` embeddings of earlier batches and their tags: `[M]` groups (group losses), or `[M]` ids and
                `[M]` subgroups (pair losses); only for a loss that `supports_memory`.

        Returns:
            A scalar.
        """

    @property
    def supports_memory(self) -> bool:
        """Whether the loss can compare a batch with the embeddings of earlier ones (`XbmConfig`)."""
        return "reference" in self._arguments

    def check_memory(self) -> None:
        """Refuse a cross-batch memory where the loss cannot use one; meant for the start of `fit`.

        Raises:
            TypeError: If the loss cannot compare with other embeddings, as losses with class weights cannot.
        """
        if not self.supports_memory:
            raise TypeError(
                f"{type(self).__name__} cannot use a cross-batch memory: it does not compare objects with those of "
                "other batches. Remove configure_xbm, or choose a loss over group pairs such as TripletLoss, or "
                "MultipleNegativesRankingLoss for pairs"
            )

    def check_targets(self, targets: GroupTargets | PairTargets) -> None:
        """Check the values of a whole data set's targets; `fit` calls it once, before the first step.

        The forward pass checks no values, because on a GPU each check would wait for the device.

        Args:
            targets: All targets of the data set together, on the CPU.

        Raises:
            TypeError: If the loss takes the other kind of targets.
        """
        if not isinstance(targets, self.target_type):
            raise wrong_targets(self, targets)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What `to`, `half`, `cuda` and the like come down to.
        super()._apply(partial(_cast_but_not_to_half, fn), recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """Show the hyper-parameters."""
        shown = {name: value for name, value in self._recorded.items() if not isinstance(value, nn.Module | Mapping)}
        return ", ".join(f"{name}={_plain(value)!r}" for name, value in shown.items())


def _cast_but_not_to_half(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    result = fn(tensor)
    halved = tensor.dtype in (torch.float32, torch.float64) and result.dtype in (torch.float16, torch.bfloat16)
    return tensor.to(result.device) if halved else result


def wrong_targets(loss: SimilarityLoss, targets: object) -> TypeError:
    """Say that a loss was given the other kind of targets.

    Args:
        loss: The loss.
        targets: What it was given.

    Returns:
        The error to raise.
    """
    received, expected = type(targets).__name__, loss.target_type.__name__
    return TypeError(
        f"{type(loss).__name__} takes {expected}, but the data gives {received}: use {_LOADERS[expected]} with this "
        f"loss, or a loss for {_SAMPLES.get(received, 'such targets')}"
    )


_LOADERS = {"GroupTargets": "GroupSimilarityDataLoader", "PairTargets": "PairsSimilarityDataLoader"}
_SAMPLES = {"GroupTargets": "groups", "PairTargets": "pairs"}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, SimilarityLoss):
        return {"type": type(value).__name__, "args": value.get_config_dict()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Real):  # of numpy
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return {"type": "Tensor", "shape": list(value.shape)}
    return {"type": type(value).__name__}
