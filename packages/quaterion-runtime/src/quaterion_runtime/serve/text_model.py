"""The part of an exported model that takes text, for batches whose texts come from many requests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import DOCUMENT, QUERY, Graph, RuntimeFolder, RuntimeFolderError, TextInput, read_folder
from quaterion_runtime.session import GraphSession

_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True, eq=False)
class Tokens:
    """A text that is ready to be put into a batch.

    Attributes:
        arrays: int64 `[K, T]`, a row for each of the graph's inputs.
        count: Tokens of the text; T is 1 for a text without any.
    """

    arrays: NDArray[np.int64]
    count: int


class TextModel:
    """Turns texts into tokens, and batches of them into embeddings. Threads may share it.

    Args:
        folder: The exported folder.
        threads: Threads that compute one batch; None for one per physical core.

    Attributes:
        folder: What the folder says.

    Raises:
        RuntimeFolderError: If the folder is damaged, or its model does not take text alone.

    Example:
        >>> model = TextModel(folder)
        >>> [one.count for one in model.tokenize(["a text", ""], "query")]
        [4, 2]
    """

    def __init__(self, folder: str | os.PathLike[str], *, threads: int | None = None) -> None:
        self.folder: RuntimeFolder = read_folder(Path(folder))
        graph, described = _text_graph(self.folder, folder)
        self._session = GraphSession(graph, self.folder.embedding_size, threads, _CPU)
        self._field, self._pad_left = described.field, described.pad_left
        fills = {"input_ids": described.pad_id, "attention_mask": 0, "token_type_ids": described.pad_type_id}
        self._fills = {name: fills[kind] for kind, name in described.tensors.items()}

    def group(self, side: str) -> str:
        """Names the side whose texts may share a batch with those of a side.

        Args:
            side: `"query"` or `"document"`.

        Returns:
            The same for both sides, where the graph computes both alike.
        """
        outputs = self._session.graph.outputs
        return QUERY if outputs[side] == outputs[QUERY] else DOCUMENT

    def tokenize(self, texts: Sequence[str], side: str) -> list[Tokens]:
        """Turns texts into tokens, as many as the model takes.

        Args:
            texts: N texts.
            side: `"query"` or `"document"`, which may have different prompts.

        Returns:
            Tokens of each.
        """
        objects = texts if self._field is None else [{self._field: text} for text in texts]
        prepared = self._session.prepare(objects, side, range(len(texts)))
        counts = sum(one.lengths() for one in prepared)
        rows = (self._session.batch(prepared, [row]) for row in range(len(texts)))  # alone, so without padding
        arrays = (np.concatenate([row[name] for name in self._fills]) for row in rows)
        return [Tokens(one, int(count)) for one, count in zip(arrays, np.asarray(counts), strict=True)]

    def compute(self, group: str, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """Computes embeddings of a batch.

        Args:
            group: What `group` says of the side of all of them.
            texts: B texts.

        Returns:
            `[B, D]`.

        Raises:
            RuntimeFolderError: If the graph gives no such vectors.
        """
        widths = [one.arrays.shape[1] for one in texts]
        batch: dict[str, NDArray[Any]] = {
            name: np.full((len(texts), max(widths)), fill, dtype=np.int64) for name, fill in self._fills.items()
        }
        for row, (one, width) in enumerate(zip(texts, widths, strict=True)):
            place = slice(-width, None) if self._pad_left else slice(width)
            for array, values in zip(batch.values(), one.arrays, strict=True):
                array[row, place] = values
        return self._session.run(batch, len(texts), group)


def _text_graph(folder: RuntimeFolder, path: str | os.PathLike[str]) -> tuple[Graph, TextInput]:
    """The graph that takes text alone; of one for each kind of object, that of texts."""
    for graph in folder.graphs:
        described = graph.inputs[0]
        if isinstance(described, TextInput) and len(graph.inputs) == 1 and graph.accepts in (None, "text"):
            return graph, described
    names = {"TextInput": "text", "PixelsInput": "images", "ArrayInput": "numbers"}
    takes = " or ".join(
        " with ".join(sorted({names[type(one).__name__] for one in graph.inputs})) for graph in folder.graphs
    )
    raise RuntimeFolderError(f"{path} has a model that takes {takes}; only models that take text alone are served")
