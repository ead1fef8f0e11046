"""Embeddings of a data set's objects, each distinct one encoded once, from a model that is left as it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from quaterion.eval.base_metric import UnscorableSetError
from quaterion_models.content_key import content_key

__all__ = ["DataDigest", "DistinctEmbeddings", "ServableModel", "content_of", "samples_of", "servable", "undisturbed"]

CHUNK_BATCHES = 64
"""Batches that are encoded at a time: enough to sort them by length, few enough to hold their objects."""


class ServableModel(Protocol):
    """What an evaluation needs of a model; `quaterion_models.SimilarityModel` has it."""

    def encode_query(self, inputs: Any, batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Embeddings `[n, D]` of queries."""
        ...

    def encode_document(self, inputs: Any, batch_size: int = 32, to_numpy: bool = True) -> Any:
        """Embeddings `[n, D]` of documents."""
        ...


def servable(model: Any) -> ServableModel:
    """The model that encodes: the one given, or its `model`.

    Args:
        model: A `SimilarityModel` or a `TrainableModel`.

    Raises:
        TypeError: Neither it nor its `model` can encode.
    """
    for candidate in (model, getattr(model, "model", None)):
        if callable(getattr(candidate, "encode_query", None)) and callable(getattr(candidate, "encode_document", None)):
            return cast(ServableModel, candidate)
    raise TypeError(
        f"Cannot evaluate a {type(model).__name__}: it has no encode_query and encode_document. "
        "Expected a SimilarityModel, or a TrainableModel with one as its `model`."
    )


@contextmanager
def undisturbed(model: ServableModel, device: torch.device | str | None) -> Iterator[torch.device]:
    """Moves a model to a device and puts it in eval mode; afterwards every module is as and where it was.

    Args:
        model: The model.
        device: Where to compute; None for where the model is.

    Yields:
        The device.
    """
    if not isinstance(model, nn.Module):
        yield torch.device(device or "cpu")
        return
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    home = torch.device("cpu") if tensor is None else tensor.device
    target = home if device is None else torch.device(device)
    training = {module: module.training for module in model.modules()}
    try:
        if target != home:
            model.to(target)
        model.eval()
        yield target
    finally:
        if target != home:
            model.to(home)
        for module, mode in training.items():
            module.training = mode


def samples_of(dataset: Any, expected: type[Any], advance: Callable[[], object]) -> Iterator[Any]:
    """The samples of a data set, one after the other.

    Args:
        dataset: Map-style data set or any iterable.
        expected: Type that every sample must have.
        advance: Called after each sample.

    Yields:
        The samples.

    Raises:
        TypeError: The data set cannot be read, or an item of it is something else.
        UnscorableSetError: The data set is empty.
    """
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        # Not iter(): Python would read a map-style data set on until it raises IndexError, which few of them
        # do.
        items: Iterator[Any] = (dataset[index] for index in range(len(dataset)))
    elif hasattr(dataset, "__iter__"):
        items = iter(dataset)
    else:
        raise TypeError(
            f"Cannot read a {type(dataset).__name__}: expected a map-style data set or an iterable of "
            f"{expected.__name__}."
        )
    position = -1
    for position, sample in enumerate(items):
        if not isinstance(sample, expected):
            raise TypeError(
                f"Item {position} of the data set is a {type(sample).__name__}; expected a {expected.__name__}. "
                "Pass the data set itself, not a loader of it, and use the sampler that fits its samples."
            )
        yield sample
        advance()
    if position < 0:
        raise UnscorableSetError("The data set is empty. Expected at least two objects: check where they come from.")


def content_of(obj: Any) -> object:
    """A hashable value that is equal for objects of equal content.

    An object whose content cannot be read equals no other, since nothing is known about it.

    Args:
        obj: Any object.
    """
    try:
        return content_key(obj)
    except TypeError:
        return object()


class DataDigest:
    """Digest of all that was added, in its order: equal for equal data, whatever the model.

    Example:
        >>> one, other = DataDigest(), DataDigest()
        >>> one.add([content_of("a text"), content_of(7)])
        >>> other.add([content_of("a text"), content_of(8)])
        >>> one.value() == other.value()
        False
    """

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._known = True

    def add(self, contents: Sequence[object]) -> None:
        """Takes in a sample.

        Args:
            contents: `content_of` everything in it that counts.
        """
        self._hash.update(len(contents).to_bytes(8, "little"))
        for content in contents:
            if isinstance(content, bytes):
                self._hash.update(content)
            else:
                self._known = False

    def value(self) -> str | None:
        """The digest; None where the content of an object could not be read."""
        return self._hash.hexdigest() if self._known else None


class DistinctEmbeddings:
    """Embeds objects as they come, each distinct one once, and holds few of the objects at a time.

    Args:
        encode: `encode_query` or `encode_document` of a model.
        batch_size: Objects in a batch.

    Example:
        >>> def encode(objects, batch_size, to_numpy):
        ...     print("encodes", objects)
        ...     return torch.tensor([[float(len(text))] for text in objects])
        >>> embeddings = DistinctEmbeddings(encode, batch_size=2)
        >>> [embeddings.add(text, content_of(text)) for text in ["one", "three", "one"]]
        [0, 1, 0]
        >>> embeddings.vectors()
        encodes ['one', 'three']
        tensor([[3.],
                [5.]])
    """

    def __init__(self, encode: Callable[..., Any], batch_size: int) -> None:
        self._encode = encode
        self._batch_size = batch_size
        self._rows: dict[object, int] = {}
        self._waiting: list[Any] = []
        self._parts: list[Tensor] = []

    def add(self, obj: Any, content: object) -> int:
        """Takes an object.

        Args:
            obj: The object.
            content: Its `content_of`.

        Returns:
            Its row in `vectors()`.
        """
        row = self._rows.get(content)
        if row is None:
            row = self._rows[content] = len(self._rows)
            self._waiting.append(obj)
            if len(self._waiting) >= CHUNK_BATCHES * self._batch_size:
                self._flush()
        return row

    def vectors(self) -> Tensor:
        """Embeddings of all distinct objects, `[U, D]`, on the CPU."""
        self._flush()
        return torch.cat(self._parts)

    def _flush(self) -> None:
        if self._waiting:
            vectors = self._encode(self._waiting, batch_size=self._batch_size, to_numpy=False)
            self._parts.append(vectors.detach().cpu())
            self._waiting = []
