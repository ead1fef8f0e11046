"""Weights of a graph in fewer bytes: as 8-bit integers, and in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 1024  # numbers; smaller weights are not worth a step of the graph
# Largest integer of a row of a table, and of a weight: two products of 63 with 255 fit into the 16 bits in which
# processors without instructions for it (VNNI) add them; larger ones would be cut off there, without a word.
_LARGEST_IN_TABLE, _LARGEST_IN_PRODUCT = 127, 63


def quantize_weights(model: Any) -> None:
    """Makes the matrix products of a graph products of integers, in place.

    Weights are symmetric integers from -63 to 63 with a scale for each output (plain per-tensor scales cost much more
    accuracy); what they are multiplied with is brought to 8 bits in each run, with one scale for the whole batch.
    Tables of embeddings have a scale for each row. The nodes are those that onnxruntime fuses to its fast kernels.

    Args:
        model: An `onnx.ModelProto`.
    """
    _Quantizer(model).run()


def halve_weights(model: Any) -> None:
    """Stores the weights of a graph in half precision, in place; they are float32 again when a session is loaded.

    Args:
        model: An `onnx.ModelProto`.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class _Quantizer:
    """Replaces nodes of one graph."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._weights: dict[str, NDArray[Any]] = {
            name: values
            for name, tensor in weights.items()
            if (values := numpy_helper.to_array(tensor)).dtype == np.float32
            and values.ndim == 2
            and values.size >= _LEAST
        }
        self._inputs: dict[str, list[str]] = {}  # activations that were quantised: name to integers, scale, zero point
        self._added: dict[str, NDArray[Any]] = {}
        self._nodes: list[Any] = []

    def run(self) -> None:
        from onnx import numpy_helper

        for node in self._graph.node:
            if node.op_type == "MatMul" and node.input[1] in self._weights:
                self._product(node.input[0], node.input[1], node.output[0])
            elif node.op_type == "Gemm" and self._is_plain(node):
                biased = len(node.input) == 3
                product = f"{node.output[0]}_product" if biased else node.output[0]
                self._product(node.input[0], node.input[1], product, transposed=_attribute(node, "transB"))
                if biased:
                    self._add("Add", [product, node.input[2]], node.output[0])
            elif node.op_type == "Gather" and node.input[0] in self._weights and not _attribute(node, "axis"):
                self._rows(node.input[0], node.input[1], node.output[0])
            else:
                self._nodes.append(node)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        self._graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self._added.items())
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)

    def _is_plain(self, node: Any) -> bool:
        factors = {one.name: one.f for one in node.attribute if one.name in {"alpha", "beta"}}
        return node.input[1] in self._weights and not _attribute(node, "transA") and set(factors.values()) <= {1.0}

    def _product(self, left: str, weight: str, output: str, *, transposed: int = 0) -> None:
        from onnx import TensorProto

        name = f"{weight}_{'transposed_' if transposed else ''}int8"
        if name not in self._added:
            values = self._weights[weight].T if transposed else self._weights[weight]  # [K, N]
            self._added[name], scale = _integers(values, 0, _LARGEST_IN_PRODUCT)
            self._added[f"{name}_scale"] = scale.reshape(-1)
            self._added[f"{name}_zero"] = np.zeros(values.shape[1], dtype=np.int8)
        if left not in self._inputs:
            self._inputs[left] = [f"{left}_uint8", f"{left}_scale", f"{left}_zero"]
            self._add("DynamicQuantizeLinear", [left], *self._inputs[left])
        integers, scale_of_left, zero = self._inputs[left]
        # The order of nodes and of the scales' product is the one that onnxruntime looks for.
        self._add("MatMulInteger", [integers, name, zero, f"{name}_zero"], f"{output}_int32")
        self._add("Cast", [f"{output}_int32"], f"{output}_float", to=TensorProto.FLOAT)
        self._add("Mul", [scale_of_left, f"{name}_scale"], f"{output}_scales")
        self._add("Mul", [f"{output}_float", f"{output}_scales"], output)

    def _rows(self, table: str, rows: str, output: str) -> None:
        from onnx import TensorProto

        name = f"{table}_rows_int8"
        if name not in self._added:
            self._added[name], self._added[f"{name}_scale"] = _integers(self._weights[table], 1, _LARGEST_IN_TABLE)
        # Names that no product of the same output has.
        self._add("Gather", [name, rows], f"{output}_row_int8")
        self._add("Gather", [f"{name}_scale", rows], f"{output}_row_scale")
        self._add("Cast", [f"{output}_row_int8"], f"{output}_row_float", to=TensorProto.FLOAT)
        self._add("Mul", [f"{output}_row_float", f"{output}_row_scale"], output)

    def _add(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, list(outputs), f"{outputs[0]}_node", **attributes))


def _integers(values: NDArray[Any], axis: int, largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rounds to -largest..largest, with a scale for each slice across the axis."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / largest, np.finfo(np.float32).tiny)
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def _attribute(node: Any, name: str) -> int:
    return next((int(one.i) for one in node.attribute if one.name == name), 0)
