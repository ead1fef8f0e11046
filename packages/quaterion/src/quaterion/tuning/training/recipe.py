"""What one training is made of: head, loss and the settings of the optimizer, as plain values."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import quaterion.loss as losses
import quaterion_models.heads as heads
from quaterion.loss import CombinedLoss, SimilarityLoss
from quaterion.utils.numbers import is_number, is_whole_number
from quaterion_models.heads import EncoderHead, SwitchHead
from quaterion_models.heads.switch_head import DOCUMENT, QUERY

__all__ = ["Part", "Recipe"]

HEADS = ("EmptyHead", "GatedHead", "SkipConnectionHead", "StackedProjectionHead", "WideningHead")
LOSSES = (
    "ArcFaceLoss", "CircleLoss", "CoSENTLoss", "ContrastiveLoss", "CosFaceLoss", "CosineSimilarityLoss", "FastAPLoss",
    "MultiSimilarityLoss", "MultipleNegativesRankingLoss", "OnlineContrastiveLoss", "ProxyAnchorLoss", "SoftmaxLoss",
    "SupConLoss", "TripletLoss",
)  # fmt: skip
"""What recipes may name: all that plain values describe."""

SIZES = {"embedding_size", "num_groups"}
"""Arguments of losses with class weights that the data decide."""

LIMITS = {"lr": (0.0, 1e3), "weight_decay": (0.0, 1e3), "warmup": (0.0, 1.0), "encoder_lr": (0.0, 1e3)}
LEAST = {"epochs": 1, "batch_size": 1, "seed": 0, "trainable_layers": 0}
"""What settings of a recipe may be."""


@dataclass(frozen=True)
class Part:
    """A head or a loss by its name, with arguments other than sizes.

    Args:
        type: Name of a class in `quaterion_models.heads` or `quaterion.loss`.
        args: Arguments of its constructor; sizes are left out.
        weight: Share of a loss in the sum of several.

    Example:
        >>> print(Part("SupConLoss", {"temperature": 0.1}))
        SupConLoss(temperature=0.1)
    """

    type: str
    args: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def has_class_weights(self) -> bool:
        """Whether it is a loss with a vector for each group."""
        return "num_groups" in _parameters(getattr(losses, self.type, type(None)))

    def __str__(self) -> str:
        return f"{self.type}({', '.join(f'{name}={value!r}' for name, value in self.args.items())})"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train a head over frozen encoders; everything but the encoders and the data.

    Args:
        head: The head; `EmptyHead` leaves the encoder's space as it is.
        losses: The loss, or several whose weighted sum it is. None for an untouched encoder, which is not trained.
        two_sided: Queries and documents have a head each.
        lr: Learning rate of AdamW, which falls to 0 along half a cosine.
        weight_decay: Its weight decay.
        warmup: Share of the steps over which the learning rate rises.
        epochs: How often to go through the data.
        batch_size: Samples in a batch.
        seed: Seed of the head's weights and of the order of batches.
        group_names: Names of groups, read as texts, are labelled examples, too.
        trainable_layers: Top layers of each encoder that are trained along with the head.
        encoder_lr: Learning rate of these layers.

    Raises:
        ValueError: A head or a loss is not known, a setting is of another kind or out of range, or there is something
            to train and no loss.

    Example:
        >>> recipe = Recipe(losses=(Part("SoftmaxLoss"),), lr=0.01)
        >>> recipe.build_loss(embedding_size=3, num_groups=2)
        SoftmaxLoss(embedding_size=3, num_groups=2, temperature=0.05, normalize=True)
        >>> Recipe.from_dict(recipe.to_dict()) == recipe
        True
    """

    head: Part = field(default_factory=lambda: Part("EmptyHead"))
    losses: tuple[Part, ...] = ()
    two_sided: bool = False
    lr: float = 0.001
    weight_decay: float = 0.01
    warmup: float = 0.1
    epochs: int = 20
    batch_size: int = 512
    seed: int = 0
    group_names: bool = False
    trainable_layers: int = 0
    encoder_lr: float = 5e-5

    def __post_init__(self) -> None:
        _check_part(self.head, "head", HEADS, heads)
        for part in self.losses:
            _check_part(part, "loss", LOSSES, losses)
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high:
                raise ValueError(
                    f"{name}={value!r} in the recipe; expected a number from {low:g} to {high:g}{_as_yaml(value)}."
                )
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not is_whole_number(value) or value < least:
                raise ValueError(f"{name}={value!r} in the recipe; expected a whole number, {least} or more.")
        for name in ("two_sided", "group_names"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(  # noqa: TRY004 - what is in a recipe is wrong
                    f"{name}={getattr(self, name)!r} in the recipe; expected true or false."
                )
        if not self.losses and not self.untouched:
            raise ValueError(
                f"The recipe has {self._trained()} and no loss, so nothing of it would be trained. Name a loss, or "
                "leave that out for the untouched encoder."
            )

    def _trained(self) -> str:
        if self.trainable_layers:
            return f"trainable_layers={self.trainable_layers}"
        return "two_sided=True" if self.two_sided else f"the head {self.head.type}"

    @property
    def untouched(self) -> bool:
        """Whether embeddings are the encoder's own vectors: nothing is trained, or class weights only."""
        return self.head.type == "EmptyHead" and not self.two_sided and not self.trainable_layers

    def build_head(self, size: int) -> EncoderHead:
        """Builds the head.

        Args:
            size: Length of the encoders' joined vectors.
        """
        make = getattr(heads, self.head.type)

        def head() -> EncoderHead:
            built: EncoderHead = make(size, **self.head.args)
            return built

        if not self.two_sided:
            return head()
        return SwitchHead({side: head() for side in (QUERY, DOCUMENT)}, size)

    def build_loss(self, *, embedding_size: int, num_groups: int) -> SimilarityLoss:
        """Builds the loss.

        Args:
            embedding_size: Length of the head's output.
            num_groups: Groups in the training data.
        """
        sizes = {"embedding_size": embedding_size, "num_groups": num_groups}
        built = []
        for part in self.losses:
            make = getattr(losses, part.type)
            wanted = {name: size for name, size in sizes.items() if name in _parameters(make)}
            built.append((make(**wanted, **part.args), part.weight))
        if not built:
            raise ValueError("The recipe has no loss, so there is nothing to train.")
        if len(built) == 1:
            only: SimilarityLoss = built[0][0]
            return only
        return CombinedLoss({part.type: pair for part, pair in zip(self.losses, built, strict=True)})

    def describe(self) -> str:
        """The recipe in one line, for tables."""
        names = ", group names as examples" if self.group_names else ""
        layers = f", {self.trainable_layers} top layers trained" if self.trainable_layers else ""
        if not self.losses:
            return f"untouched encoder{names}"
        head = "no head" if self.head.type == "EmptyHead" else _short(self.head)
        sides = " for each side" if self.two_sided else ""
        return f"{head}{sides}, {' + '.join(_short(part) for part in self.losses)}{names}{layers}"

    def settings(self) -> str:
        """Settings of the optimizer in one line, for tables."""
        if not self.losses:
            return ""
        return f"lr {self.lr:g}, wd {self.weight_decay:g}, batch {self.batch_size}, {self.epochs} epochs"

    def with_epochs(self, share: float) -> Self:
        """The same recipe for a share of its epochs, one at least.

        Args:
            share: The share.
        """
        return replace(self, epochs=max(1, round(self.epochs * share)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML or JSON; `from_dict` reads them."""
        values = asdict(self)
        values["head"] = _part_to_dict(self.head)
        values["losses"] = [_part_to_dict(part) for part in self.losses]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave.

        Args:
            values: The values; settings that are missing have their defaults.

        Raises:
            ValueError: A setting is not known, or a value is not valid.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"a recipe is a {type(values).__name__}; expected settings by name")  # noqa: TRY004
        unknown = set(values) - {one.name for one in fields(cls)}
        if unknown:
            known = ", ".join(one.name for one in fields(cls))
            raise ValueError(
                f"the recipe has the unknown settings {', '.join(sorted(map(str, unknown)))}; known: {known}"
            )
        plain = dict(values)
        if "head" in plain:
            plain["head"] = _part_from_dict(plain["head"], "head")
        if "losses" in plain:
            if not isinstance(plain["losses"], Sequence) or isinstance(plain["losses"], str):
                raise ValueError(f"losses={plain['losses']!r} in the recipe; expected a list of losses")
            plain["losses"] = tuple(_part_from_dict(part, "loss") for part in plain["losses"])
        try:
            return cls(**plain)
        except TypeError as error:
            raise ValueError(f"the recipe cannot be used: {error}") from error


def _part_to_dict(part: Part) -> dict[str, Any]:
    values = {"type": part.type, "args": dict(part.args)}
    return values if part.weight == 1.0 else {**values, "weight": part.weight}


def _part_from_dict(values: Any, role: str) -> Part:
    if (
        not isinstance(values, Mapping)
        or not isinstance(values.get("type"), str)
        or set(values) - {"type", "args", "weight"}
    ):
        raise ValueError(f"{values!r} is no {role} of a recipe; expected a type, and args where it has some")
    args = values.get("args") or {}
    if not isinstance(args, Mapping) or set(args) & SIZES:
        raise ValueError(f"args={args!r} of the {role} {values['type']}; expected arguments by name, without sizes")
    weight = values.get("weight", 1.0)
    if not is_number(weight):
        raise ValueError(f"weight={weight!r} of the {role} {values['type']}; expected a number{_as_yaml(weight)}")
    return Part(values["type"], dict(args), float(weight))


def _as_yaml(value: Any) -> str:
    """How a number is written that YAML takes for a text, such as 1e-3."""
    try:
        return f" (in YAML {float(value):e})" if isinstance(value, str) else ""
    except ValueError:
        return ""


def _check_part(part: Part, role: str, known: Sequence[str], module: Any) -> None:
    if part.type not in known:
        raise ValueError(f"{part.type!r} is no {role} that a recipe can name; expected one of {', '.join(known)}")
    possible = _parameters(getattr(module, part.type)) - SIZES - {"input_embedding_size"}
    unknown = set(part.args) - possible
    if unknown:
        raise ValueError(
            f"{part.type} has no argument {', '.join(sorted(unknown))}; it has {', '.join(sorted(possible))}"
        )


def _parameters(made: type[Any]) -> set[str]:
    return set(inspect.signature(made.__init__).parameters) - {"self"}


def _short(part: Part) -> str:
    name = part.type.removesuffix("Head").removesuffix("Loss")
    values = ", ".join(f"{key.split('_')[-1]} {value}" for key, value in part.args.items())
    return f"{name} ({values})" if values else name
