"""A graph, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import Graph, RuntimeFolderError
from quaterion_runtime.inputs import Prepared, preparer_of
from quaterion_runtime.inputs.prepare import pick

# onnxruntime's kernel for a fused sum and layer normalisation is several times slower on CPUs than its two parts.
_SLOWER = ["SkipLayerNormFusion"]


class GraphSession:
    """Runs one graph of an exported folder.

    Args:
        graph: The graph.
        embedding_size: Length of the vectors that it must give.
        threads: Threads for one batch; None for one per physical core.
        providers: Execution providers of onnxruntime, the preferred one first.

    Raises:
        RuntimeFolderError: If the file is no graph that onnxruntime can load, or does not have the inputs and outputs
            that the folder names.
    """

    def __init__(self, graph: Graph, embedding_size: int, threads: int | None, providers: Sequence[str]) -> None:
        import onnxruntime

        self.graph = graph
        self._embedding_size = embedding_size
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph.file), options, providers=list(providers), disabled_optimizers=_SLOWER
            )
        except Exception as error:  # onnxruntime's errors have no common type of their own
            raise RuntimeFolderError(f"{graph.file} cannot be loaded: {error!s:.300}") from error
        self._check_names({one.name for one in self._session.get_inputs()}, "inputs",
                          {name for one in graph.inputs for name in one.tensors.values()})  # fmt: skip
        known = {one.name for one in self._session.get_outputs()}
        self._check_names(known, "outputs", set(graph.outputs.values()), others_are_fine=True)
        self._preparers = [preparer_of(one) for one in graph.inputs]

    def prepare(self, objects: Sequence[Any], side: str, positions: Sequence[int]) -> list[Prepared]:
        """Prepares objects for every input of the graph.

        Args:
            objects: N objects.
            side: `"query"` or `"document"`.
            positions: Where they stand among the caller's objects, for messages.

        Returns:
            The prepared objects, for each input.
        """
        return [
            preparer.prepare(pick(objects, described.field, positions), side, positions)
            for described, preparer in zip(self.graph.inputs, self._preparers, strict=True)
        ]

    def run(self, prepared: Sequence[Prepared], rows: Sequence[int], side: str) -> NDArray[np.float32]:
        """Computes embeddings of a batch.

        Args:
            prepared: What `prepare` returned.
            rows: The B objects of the batch.
            side: `"query"` or `"document"`.

        Returns:
            float32 `[B, D]`.

        Raises:
            RuntimeFolderError: If the graph gives something else.
        """
        feed: dict[str, NDArray[Any]] = {}
        for one in prepared:
            feed |= one.batch(rows)
        vectors: NDArray[np.float32] = self._session.run([self.graph.outputs[side]], feed)[0]
        if vectors.shape != (len(rows), self._embedding_size) or vectors.dtype != np.float32:
            raise RuntimeFolderError(
                f"{self.graph.file} gave {vectors.dtype} {list(vectors.shape)} for {len(rows)} objects, expected "
                f"float32 [{len(rows)}, {self._embedding_size}]. Export the model again"
            )
        return vectors

    def _check_names(self, has: set[str], what: str, named: set[str], *, others_are_fine: bool = False) -> None:
        if named - has or (has - named and not others_are_fine):
            raise RuntimeFolderError(
                f"{self.graph.file} has the {what} {sorted(has)}, the folder names {sorted(named)}. "
                "Export the model again"
            )
