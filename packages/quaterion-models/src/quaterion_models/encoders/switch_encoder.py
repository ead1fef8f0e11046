"""An encoder that sends each object to one of several encoders."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from quaterion_models.content_key import content_key
from quaterion_models.encoders.encoder import Encoder, check_embeddings
from quaterion_models.names import module_name
from quaterion_models.types import CollateFnType, MetaExtractorFnType, SideFnType


class SwitchBatch(NamedTuple):
    """Objects grouped by the encoder that takes them.

    Attributes:
        inputs: Option name to the collated input of that option's objects, in their order.
        rows: Option name to `[B_option]` int64: where each of these objects stood.
    """

    inputs: dict[str, Any]
    rows: dict[str, Tensor]


class ChosenObject(NamedTuple):
    """An object that its encoder has prepared for its side, so that the choice is not made again from what it is now.

    Attributes:
        option: Name of the encoder.
        value: The prepared object.
    """

    option: str
    value: Any


class SwitchEncoder(Encoder):
    """Encodes several kinds of objects into one space, each kind by its own encoder.

    Subclass it and override `encoder_selection`. The side information of each object is `{"encoder": name}`
    (beside that of the chosen encoder), which a `SwitchHead` can use.

    Args:
        options: Names to encoders. All must have the same embedding size (checked at the first forward and by
            `check_sizes`); some may be trainable and others not.

    Raises:
        ValueError: If there are no options.
        TypeError: If an option is not an encoder.

    Example:
        >>> class TextOrImage(SwitchEncoder):
        ...     @classmethod
        ...     def encoder_selection(cls, record):
        ...         return "text" if isinstance(record, str) else "image"
    """

    def __init__(self, options: dict[str, Encoder]) -> None:
        super().__init__()
        if not isinstance(options, Mapping) or not options:
            raise ValueError(f"options must be a dict of at least one encoder, got {options!r}")
        for name, option in options.items():
            if not isinstance(option, Encoder):
                raise TypeError(f"option {name!r} must be an Encoder, got {type(option).__name__}")
        self.set_options(options)

    def set_options(self, options: Mapping[str, Encoder]) -> None:
        """Replaces the encoders.

        Args:
            options: Names to encoders.
        """
        self._names = list(options)
        self._options = nn.ModuleDict({module_name(name): option for name, option in options.items()})

    @property
    def options(self) -> dict[str, Encoder]:
        """The encoders by name."""
        return dict(zip(self._names, self._options.values(), strict=True))  # type: ignore[arg-type]

    @classmethod
    def encoder_selection(cls, record: Any) -> str:
        """Chooses the encoder of an object; override it.

        Args:
            record: An object.

        Returns:
            Name of an option.

        Raises:
            TypeError: Where it is not overridden.
        """
        raise TypeError(
            f"{cls.__name__} does not say which encoder takes {type(record).__name__}: "
            "override the classmethod encoder_selection(record) -> str"
        )

    @property
    def trainable(self) -> bool:
        """Whether any option is trainable; the frozen ones among them stay frozen."""
        return any(option.trainable for option in self.options.values())

    @property
    def embedding_size(self) -> int:
        """The size that all options share.

        Raises:
            ValueError: If they differ.
        """
        return self.check_sizes()

    def check_sizes(self) -> int:
        """Checks that all options have the same embedding size.

        Returns:
            The size.

        Raises:
            ValueError: If the sizes differ; the message lists them.
        """
        sizes = {name: option.embedding_size for name, option in self.options.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(
                f"the options of a {type(self).__name__} must have the same embedding size, got {sizes}. "
                "Give encoders of one size, or add a layer that brings them to one"
            )
        return next(iter(sizes.values()))

    def get_collate_fn(self) -> CollateFnType:
        """Returns the function that groups objects by encoder and collates each group."""
        collates = {name: option.get_collate_fn() for name, option in self.options.items()}
        return partial(_collate, type(self), collates)

    def get_meta_extractor(self) -> MetaExtractorFnType:
        """Returns the function that gives each object `{"encoder": name}` and what its own encoder extracts."""
        extractors = {name: option.get_meta_extractor() for name, option in self.options.items()}
        return partial(_extract_meta, type(self), extractors)

    def get_side_fn(self) -> SideFnType | None:
        """Returns the function that prepares each object as its own encoder does; None where no option has one."""
        prepare = {name: option.get_side_fn() for name, option in self.options.items()}
        return partial(_prepare, type(self), prepare) if any(own is not None for own in prepare.values()) else None

    @classmethod
    def extract_meta(cls, batch: list[Any]) -> list[dict[str, Any]]:
        """Gives each object `{"encoder": name}`."""
        return [{"encoder": cls.encoder_selection(record)} for record in batch]

    def forward(self, batch: SwitchBatch) -> Tensor:
        """Encodes each group with its encoder and puts the vectors back where their objects stood.

        Args:
            batch: What the collate function returned.

        Returns:
            `[B, embedding_size]`.
        """
        declared = self.check_sizes()
        options = self.options
        parts = []
        for name, inputs in batch.inputs.items():
            option = options[name]
            with torch.set_grad_enabled(option.trainable and torch.is_grad_enabled()):
                vectors = check_embeddings(option(inputs), f"option {name!r}", declared)
            count = len(batch.rows[name])
            if len(vectors) != count:  # rows of other options would move to other objects
                raise ValueError(f"option {name!r} gave {len(vectors)} vectors for {count} objects, expected one each")
            parts.append(vectors)
        if len(parts) == 1:
            return parts[0]
        # Row i of the joined parts belongs at order[i]: gather with the inverse permutation.
        order = torch.cat(list(batch.rows.values()))
        return torch.cat(parts).index_select(0, torch.argsort(order).to(parts[0].device))

    def disable_gradients_if_required(self) -> None:
        """Freezes the parameters of those options that are not trainable."""
        for option in self.options.values():
            option.disable_gradients_if_required()

    def length(self, obj: Any) -> int:
        """Asks the object's own encoder."""
        options = self.options
        name, value = _choose(type(self), options, obj)
        return options[name].length(value)

    def lengths(self, objects: Sequence[Any]) -> list[int]:
        """Asks each option about its own objects."""
        options = self.options
        rows: dict[str, list[int]] = {}
        values = []
        for row, obj in enumerate(objects):
            name, value = _choose(type(self), options, obj)
            rows.setdefault(name, []).append(row)
            values.append(value)
        lengths = [0] * len(values)
        for name, places in rows.items():
            for row, length in zip(places, options[name].lengths([values[row] for row in places]), strict=True):
                lengths[row] = length
        return lengths

    def cache_key(self, obj: Any) -> bytes:
        """Joins the option's name and that encoder's own key, so that two options never share a vector."""
        options = self.options
        name, value = _choose(type(self), options, obj)
        return content_key((name, options[name].cache_key(value)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes every option into a folder of its own within a folder.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.switch_folder import save_switch_encoder

        save_switch_encoder(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, classes: Sequence[type[nn.Module]] = ()) -> Self:
        """Builds the encoder again from a folder that `save` wrote.

        Args:
            path: The folder.
            classes: Classes of your own that the folder may name for the options.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged, or a class is not known.
        """
        from quaterion_models.saving.switch_folder import load_switch_encoder

        return load_switch_encoder(cls, Path(path), classes=classes)


def _choose(cls: type[SwitchEncoder], options: Collection[str], obj: Any) -> ChosenObject:
    """Chooses the encoder of an object, or takes the choice that was made when it was prepared for its side."""
    chosen = obj if isinstance(obj, ChosenObject) else ChosenObject(cls.encoder_selection(obj), obj)
    if chosen.option not in options:
        raise ValueError(
            f"{cls.__name__}.encoder_selection returned {chosen.option!r}, expected one of {list(options)}. "
            "Add an option of that name, or return another"
        )
    return chosen


# Functions of a module, not closures, so that partials of them are picklable for DataLoader workers.
def _collate(cls: type[SwitchEncoder], collates: dict[str, CollateFnType], batch: list[Any]) -> SwitchBatch:
    rows: dict[str, list[int]] = {name: [] for name in collates}
    values = []
    for row, obj in enumerate(batch):
        name, value = _choose(cls, collates, obj)
        rows[name].append(row)
        values.append(value)
    used = {name: places for name, places in rows.items() if places}
    return SwitchBatch(
        inputs={name: collates[name]([values[row] for row in places]) for name, places in used.items()},
        rows={name: torch.tensor(places, dtype=torch.int64) for name, places in used.items()},
    )


def _prepare(cls: type[SwitchEncoder], prepare: dict[str, SideFnType | None], obj: Any, side: str) -> ChosenObject:
    name, value = _choose(cls, prepare, obj)
    own = prepare[name]
    return ChosenObject(name, value if own is None else own(value, side))


def _extract_meta(
    cls: type[SwitchEncoder], extractors: dict[str, MetaExtractorFnType], batch: list[Any]
) -> list[dict[str, Any]]:
    # One call of the class's own hook for the whole batch, so that an override of extract_meta is used.
    metas = cls.extract_meta(batch)
    rows: dict[str, list[int]] = {}
    for row, record in enumerate(batch):
        rows.setdefault(_choose(cls, extractors, record).option, []).append(row)
    for name, places in rows.items():
        for row, own in zip(places, extractors[name]([batch[row] for row in places]), strict=True):
            if own:
                metas[row] = {**own, **metas[row]}
    return metas
