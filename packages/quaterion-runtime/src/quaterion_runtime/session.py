"""A graph, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.folder import Graph, RuntimeFolderError
from quaterion_runtime.inputs import Prepared, preparer_of
from quaterion_runtime.inputs.prepare import pick
from quaterion_runtime.onnx_file import read_graph_file

LARGEST_FOLDED = 2**26
"""Bytes of a constant that is computed when a graph is loaded, and not each time that it runs."""

_ONLY_EXCEPTIONS = 4  # onnxruntime would also write what goes wrong to standard error

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
        RuntimeFolderError: If the file is no graph that onnxruntime can load, keeps tensors elsewhere, or does not have
            the inputs and outputs that the folder names.
    """

    def __init__(self, graph: Graph, embedding_size: int, threads: int | None, providers: Sequence[str]) -> None:
        import onnxruntime

        self.graph = graph
        self._embedding_size = embedding_size
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a plan of memory for every shape that it has seen
        options.log_severity_level = _ONLY_EXCEPTIONS
        # The other format, which may start like this one, is not what was checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(LARGEST_FOLDED))
        content = read_graph_file(graph.file, graph.digest)
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=list(providers), disabled_optimizers=_SLOWER
            )
        except Exception as error:  # onnxruntime's errors have no common type of their own
            raise RuntimeFolderError(f"{graph.file} cannot be loaded: {error!s:.300}") from error
        # Kept to start over with other providers: as much memory as the weights.
        self._session._model_bytes = None  # noqa: SLF001
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

    def batch(self, prepared: Sequence[Prepared], rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Puts objects into a batch.

        Args:
            prepared: What `prepare` returned.
            rows: The B objects of the batch.

        Returns:
            Names of the graph's inputs to arrays `[B, ...]`.
        """
        return {name: array for one in prepared for name, array in one.batch(rows).items()}

    def run(self, batch: dict[str, NDArray[Any]], count: int, side: str) -> NDArray[np.float32]:
        """Computes embeddings of a batch.

        Args:
            batch: What `batch` returned.
            count: How many objects are in it.
            side: `"query"` or `"document"`.

        Returns:
            float32 `[B, D]`.

        Raises:
            RuntimeFolderError: If the graph gives something else.
        """
        vectors: NDArray[np.float32] = self._session.run([self.graph.outputs[side]], batch)[0]
        if vectors.shape != (count, self._embedding_size) or vectors.dtype != np.float32:
            raise RuntimeFolderError(
                f"{self.graph.file} gave {vectors.dtype} {list(vectors.shape)} for {count} objects, expected "
                f"float32 [{count}, {self._embedding_size}]. Export the model again"
            )
        if not np.isfinite(vectors).all():
            raise RuntimeFolderError(
                f"{self.graph.file} gave NaN or infinite components for a batch of {count} objects. Export the model "
                "in float32, and look for such numbers in its weights"
            )
        return vectors

    def _check_names(self, has: set[str], what: str, named: set[str], *, others_are_fine: bool = False) -> None:
        if named - has or (has - named and not others_are_fine):
            raise RuntimeFolderError(
                f"{self.graph.file} has the {what} {sorted(has)}, the folder names {sorted(named)}. "
                "Export the model again"
            )
