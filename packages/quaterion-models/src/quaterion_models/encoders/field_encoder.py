"""An encoder of one field of a record, by any other encoder."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor, nn

from quaterion_models.encoders.encoder import Encoder
from quaterion_models.encoders.partly_trained import Trunk
from quaterion_models.names import name_in_batch
from quaterion_models.types import CollateFnType, MetaExtractorFnType, SideFnType

_OWN = frozenset({"_field", "encoder"})
_MOST_NAMES = 20  # of what a record has, in a message
_ABSENT = object()


class PickedField(NamedTuple):
    """A field that has been taken out of its record already, and prepared for its side."""

    value: Any


class FieldEncoder(Encoder):
    """Picks one field of each record and gives it to another encoder.

    So several encoders share one record: `{"text": FieldEncoder("title", ...), "image": FieldEncoder("photo", ...)}`.
    Keys, lengths and fingerprint are those of the other encoder. Its cached vectors are therefore the same as
    without a `FieldEncoder`, and fields of equal content are encoded once.

    Args:
        field: Key of a dict; name of an attribute (of a dataclass, a named tuple or any object); or the place in a
            tuple or list.
        encoder: What encodes the field.

    Raises:
        TypeError: If `field` is neither text nor an integer, or `encoder` is no encoder.

    Example:
        >>> from quaterion_models.encoders import VectorEncoder
        >>> encoder = FieldEncoder("price", VectorEncoder(1))
        >>> encoder(encoder.get_collate_fn()([{"name": "pen", "price": [2.0]}, {"name": "ink", "price": [5.0]}]))
        tensor([[2.],
                [5.]])
    """

    def __init__(self, field: str | int, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(field, (str, int)) or isinstance(field, bool):
            raise TypeError(
                f"field must be text (a key or an attribute) or an integer (a place in a tuple), got {field!r}"
            )
        if not isinstance(encoder, Encoder):
            raise TypeError(f"encoder must be an Encoder, got {type(encoder).__name__}")
        self._field = field
        self.encoder = encoder

    @property
    def field(self) -> str | int:
        """Which field is picked."""
        return self._field

    @property
    def trainable(self) -> bool:
        """Whether the field's encoder is trainable."""
        return self.encoder.trainable

    @property
    def embedding_size(self) -> int:
        """The size of the field's encoder."""
        return self.encoder.embedding_size

    def get_collate_fn(self) -> CollateFnType:
        """Returns the function that picks the field of each record and collates as the field's encoder does."""
        return partial(_collate, self._field, self.encoder.get_collate_fn())

    def get_meta_extractor(self) -> MetaExtractorFnType:
        """Returns the function that extracts what the field's encoder does, and what `extract_meta` adds."""
        return partial(_extract_meta, type(self), self._field, self.encoder.get_meta_extractor())

    def get_side_fn(self) -> SideFnType | None:
        """Returns the function that picks the field and prepares it as the field's encoder does; None without one."""
        inner = self.encoder.get_side_fn()
        return None if inner is None else partial(_prepare, self._field, inner)

    def get_trunk(self) -> Trunk | None:
        """The trunk of the field's encoder."""
        return self.encoder.get_trunk()

    def cache_key(self, obj: Any) -> bytes:
        """The key that the field's encoder gives the field."""
        return self.encoder.cache_key(pick(obj, self._field))

    def length(self, obj: Any) -> int:
        """The length that the field's encoder gives the field."""
        return self.encoder.length(pick(obj, self._field))

    def lengths(self, objects: Sequence[Any]) -> list[int]:
        """The lengths that the field's encoder gives the fields."""
        return self.encoder.lengths(_pick_all(self._field, objects))

    def fingerprint(self) -> str:
        """The fingerprint of the field's encoder; of a subclass its code and attributes count too."""
        from quaterion_models.fingerprint import digest_beyond

        inner = self.encoder.fingerprint()
        beyond = digest_beyond(self, FieldEncoder, _OWN)
        return blake2b(f"{beyond}{inner}".encode(), digest_size=16).hexdigest() if beyond else inner

    def forward(self, batch: Any) -> Tensor:
        """Encodes the fields.

        Args:
            batch: What the collate function returned for B records.

        Returns:
            `[B, embedding_size]`.
        """
        vectors: Tensor = self.encoder(batch)
        return vectors

    def disable_gradients_if_required(self) -> None:
        """Freezes what the field's encoder freezes: of a `SwitchEncoder` only the options that are not trainable."""
        self.encoder.disable_gradients_if_required()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the field and, in a folder within the folder, its encoder.

        Args:
            path: The folder; made where it does not exist.
        """
        from quaterion_models.saving.field_folder import save_field_encoder

        save_field_encoder(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, classes: Sequence[type[nn.Module]] = ()) -> Self:
        """Builds the encoder again from a folder that `save` wrote.

        Args:
            path: The folder.
            classes: Classes of your own that the folder may name for the field's encoder.

        Returns:
            The encoder, on the CPU.

        Raises:
            ModelFolderError: If a file is missing or damaged, or a class is not known.
        """
        from quaterion_models.saving.field_folder import load_field_encoder

        return load_field_encoder(cls, Path(path), classes=classes)


def pick(record: Any, field: str | int, which: str = "the record") -> Any:
    """Takes a field out of a record.

    Args:
        record: A mapping, a tuple or list, or an object with attributes; or a `PickedField`.
        field: As for `FieldEncoder`.
        which: What to call the record in a message.

    Returns:
        The field's value.

    Raises:
        ValueError: If the record has no such field; the message says what it has.

    Example:
        >>> pick({"title": "a pen"}, "title"), pick(("a pen", 2.0), 1)
        ('a pen', 2.0)
        >>> pick({"title": "a pen"}, "price")
        Traceback (most recent call last):
        ValueError: the record has no field 'price': the dict has 'title'. Give every record this field, or name another
    """
    if isinstance(record, PickedField):
        return record.value
    if isinstance(record, Mapping):
        if field in record:
            return record[field]
    elif isinstance(field, int):
        if isinstance(record, (tuple, list)) and -len(record) <= field < len(record):
            return record[field]
    else:
        found = getattr(record, field, _ABSENT)
        if found is not _ABSENT and not inspect.isroutine(found):  # a method (`index` of a list, say) is no field
            return found
    raise ValueError(
        f"{which} has no field {field!r}: {_content(record)}. Give every record this field, or name another"
    )


def _content(record: Any) -> str:
    kind = type(record).__name__
    if isinstance(record, (tuple, list)) and not hasattr(record, "_fields"):
        return f"the {kind} has {len(record)} items"
    if isinstance(record, Mapping):
        names = list(record)
    else:
        fields = ("__dataclass_fields__", "_fields", "__dict__")
        names = list(next((getattr(record, name) for name in fields if hasattr(record, name)), ()))
    if not names:
        return f"it is {record!r:.60} of type {kind}"
    return f"the {kind} has {', '.join(map(repr, names[:_MOST_NAMES]))}{', …' * (len(names) > _MOST_NAMES)}"


# Functions of a module, not closures, so that partials of them are picklable for DataLoader workers. All of them hold
# the field, so that a data set's reading, kept under what its functions are made of, is not used for another field.
def _pick_all(field: str | int, records: Sequence[Any]) -> list[Any]:
    count = len(records)
    return [pick(record, field, name_in_batch("record", place, count)) for place, record in enumerate(records)]


def _collate(field: str | int, collate: CollateFnType, records: list[Any]) -> Any:
    values = _pick_all(field, records)
    try:
        return collate(values)
    except Exception as error:
        error.add_note(f"This is about the field {field!r} of the records")
        raise


def _prepare(field: str | int, prepare: SideFnType, record: Any, side: str) -> PickedField:
    return PickedField(prepare(pick(record, field), side))


def _extract_meta(
    cls: type[FieldEncoder], field: str | int, extract: MetaExtractorFnType, records: list[Any]
) -> list[dict[str, Any]]:
    inner = extract(_pick_all(field, records))
    return [{**of_field, **own} for of_field, own in zip(inner, cls.extract_meta(records), strict=True)]
