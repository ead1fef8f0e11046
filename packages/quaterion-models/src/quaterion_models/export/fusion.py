"""Parts of a graph in the form that onnxruntime runs fastest: attention, and products with the same input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 23
"""The first with attention as an operator."""

_SWAP = [0, 2, 1, 3]  # [batch, length, heads, size] to [batch, heads, length, size], and back
_SWAP_AND_TURN = [0, 2, 3, 1]  # [batch, length, heads, size] to [batch, heads, size, length]
_ONES = "attention_ones"


def fuse_attention(model: Any) -> None:
    """Makes attention one operator, in place, and the graph one of opset 23; without attention it stays as it is.

    What is replaced is softmax(Q Kᵀ · scale + mask) V with all that splits Q, K and V into heads and joins them again:
    the operator takes [batch, length, heads * size], and its kernel is faster than nodes of their own. Attention with
    more to it (rotary positions, position biases) stays. Shapes are those that the exporter notes; where it noted
    none, nodes stay too.

    Args:
        model: An `onnx.ModelProto` of opset 13 to 23, free of control flow.
    """
    if _AttentionFusion(model.graph).run():
        next(one for one in model.opset_import if one.domain == "").version = OPSET


def join_products(model: Any) -> None:
    """Makes one product of those with the same input, in place: of queries, keys and values, or of gates.

    The weights are put side by side, and so are the biases that are added; the output is split again. Each number is
    computed from the same ones as before.

    Args:
        model: An `onnx.ModelProto` of opset 13 or later.
    """
    _ProductFusion(model.graph).run()


class _Fusion:
    """Replaces nodes of one graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.users: dict[str, list[Any]] = {one.name: [one] for one in graph.output}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.replaced: dict[str, list[Any]] = {}  # a node's first output, to the nodes that stand in its place
        self.constants: dict[str, NDArray[Any]] = {}

    def only_user(self, name: str, kind: str) -> Any | None:
        """The one node that takes a value, if there is only one, of the kind."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and getattr(users[0], "op_type", None) == kind else None

    def rebuild(self) -> None:
        """Puts the new nodes in their places, and removes what nothing takes any more."""
        from onnx import numpy_helper

        if not self.replaced:
            return
        graph = self.graph
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.constants.items())
        needed, kept = {one.name for one in graph.output}, []
        for node in reversed([new for old in graph.node for new in self.replaced.get(old.output[0], [old])]):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
        made = {name for node in kept for name in node.output}
        values = [value for value in graph.value_info if value.name in made]
        for field, content in ((graph.node, kept[::-1]), (graph.initializer, tensors), (graph.value_info, values)):
            del field[:]
            field.extend(content)


class _AttentionFusion(_Fusion):
    """Replaces the attention of one graph."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        super().__init__(graph)
        self._shapes: dict[str, list[str | int | None]] = {
            one.name: [dim.dim_param or dim.dim_value or None for dim in one.type.tensor_type.shape.dim]
            for one in (*graph.value_info, *graph.input)
        }
        self._scales = {one.name: numpy_helper.to_array(one) for one in graph.initializer if not one.dims}
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._masks: dict[tuple[str, str, str], str] = {}

    def run(self) -> bool:
        if not _has_subgraphs(self.graph):
            for node in self.graph.node:
                if node.op_type == "Softmax" and [one.i for one in node.attribute if one.name == "axis"] == [-1]:
                    self._replace(node)
            self.rebuild()
        return bool(self.replaced)

    def _replace(self, softmax: Any) -> None:
        from onnx import helper

        product, scale, mask = self._scores(softmax.input[0])
        applied = self.only_user(softmax.output[0], "MatMul")
        if product is None or applied is None or applied.input[0] != softmax.output[0]:
            return
        output = self._after_heads(applied.output[0])
        queries = self._before_heads(product.input[0], _SWAP)
        keys = self._before_heads(product.input[1], _SWAP_AND_TURN)
        values = self._before_heads(applied.input[1], _SWAP)
        if not (output and queries and keys and values) or len({queries[1], keys[1], values[1]}) > 1:
            return
        inputs = [queries[0], keys[0], values[0]]
        nodes: list[Any] = []
        if mask:
            inputs.append(self._mask(mask, queries[0], keys[0], nodes))
        node = helper.make_node("Attention", inputs, [output], f"{output}_attention", scale=scale)
        heads = {"q_num_heads": queries[1], "kv_num_heads": keys[1]}
        node.attribute.extend(helper.make_attribute(name, value) for name, value in heads.items())
        # The mask where the first that takes it stands; the values may be computed after that.
        self.replaced |= {softmax.output[0]: nodes, applied.output[0]: [node], output: []}

    def _scores(self, scores: str) -> tuple[Any | None, float, str | None]:
        """The node of Q Kᵀ, its scale, and the mask that is added, if one is."""
        mask = None
        if added := self._maker(scores, "Add"):
            scores, mask = added.input
        scaled = self._maker(scores, "Mul")
        if scaled is None or scaled.input[1] not in self._scales or (mask and len(self._shapes.get(mask, [])) != 4):
            return None, 1.0, None
        return self._maker(scaled.input[0], "MatMul"), float(self._scales[scaled.input[1]]), mask

    def _maker(self, name: str, kind: str) -> Any | None:
        node = self._made_by.get(name)
        return node if node is not None and node.op_type == kind else None

    def _before_heads(self, split: str, order: list[int]) -> tuple[str, int] | None:
        """What was split into heads and transposed, and into how many."""
        transpose = self._made_by.get(split)
        reshape = self._maker(transpose.input[0], "Reshape") if transpose and _orders(transpose, order) else None
        heads = self._heads(reshape.input[0], reshape.output[0]) if reshape else None
        return (reshape.input[0], heads) if reshape and heads else None

    def _after_heads(self, split: str) -> str | None:
        """What becomes of the output, if it is only transposed and its heads joined."""
        transpose = self.only_user(split, "Transpose")
        reshape = self.only_user(transpose.output[0], "Reshape") if transpose and _orders(transpose, _SWAP) else None
        if transpose is None or reshape is None or not self._heads(reshape.output[0], transpose.output[0]):
            return None
        return str(reshape.output[0])

    def _heads(self, whole: str, split: str) -> int | None:
        """How many heads `split`, [B, T, H, S], has, if `whole` is [B, T, H * S]."""
        one, other = self._shapes.get(whole, []), self._shapes.get(split, [])
        if len(one) != 3 or len(other) != 4 or None in one or one[:2] != other[:2]:
            return None
        size, heads, size_of_head = one[2], other[2], other[3]
        if not (isinstance(size, int) and isinstance(heads, int) and isinstance(size_of_head, int)):
            return None
        return heads if heads * size_of_head == size else None

    def _mask(self, mask: str, queries: str, keys: str, nodes: list[Any]) -> str:
        """Names the mask with both lengths, which onnxruntime needs; adds the nodes that make it, where it has not."""
        from onnx import helper

        lengths = [self._shapes[name][1] for name in (queries, keys)]
        if self._shapes[mask][2:] == lengths:
            return mask
        key = (mask, str(lengths[0]), str(lengths[1]))
        if key not in self._masks:
            whole = self._masks[key] = f"{mask}_whole_{len(self._masks)}"
            self.constants[_ONES] = np.ones(2, dtype=np.int64)
            for end, one in (("queries", queries), ("keys", keys)):
                nodes.append(helper.make_node("Shape", [one], [f"{whole}_{end}"], start=1, end=2))
            shape = [_ONES, f"{whole}_queries", f"{whole}_keys"]
            nodes.append(helper.make_node("Concat", shape, [f"{whole}_shape"], axis=0))
            nodes.append(helper.make_node("Expand", [mask, f"{whole}_shape"], [whole], f"{whole}_node"))
        return self._masks[key]


class _ProductFusion(_Fusion):
    """Joins products of one graph."""

    def run(self) -> None:
        from onnx import numpy_helper

        if _has_subgraphs(self.graph):
            return
        weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self._weights = {name: array for name, array in weights.items() if array.dtype == np.float32}
        groups: dict[str, list[Any]] = {}
        for node in self.graph.node:
            if node.op_type == "MatMul" and node.input[1] in self._weights and self._weights[node.input[1]].ndim == 2:
                groups.setdefault(node.input[0], []).append(node)
        for products in groups.values():
            if len(products) > 1:
                self._join(products)
        self.rebuild()

    def _join(self, products: list[Any]) -> None:
        from onnx import helper

        matrices = [self._weights[node.input[1]] for node in products]
        sums = [self._sum(node.output[0], matrix.shape[1]) for node, matrix in zip(products, matrices, strict=True)]
        for product, (output, _) in zip(products, sums, strict=True):
            self.replaced |= {product.output[0]: [], output: []}
        outputs = [output for output, _ in sums]
        name = f"{outputs[0]}_joined"
        self.constants |= {
            f"{name}_weight": np.concatenate(matrices, axis=1),
            f"{name}_bias": np.concatenate([bias for _, bias in sums]),
            f"{name}_sizes": np.array([matrix.shape[1] for matrix in matrices]),
        }
        self.replaced[products[0].output[0]] = [
            helper.make_node("MatMul", [products[0].input[0], f"{name}_weight"], [f"{name}_product"], f"{name}_matmul"),
            helper.make_node("Add", [f"{name}_product", f"{name}_bias"], [name], f"{name}_add"),
            helper.make_node("Split", [name, f"{name}_sizes"], outputs, f"{name}_split", axis=-1),
        ]

    def _sum(self, product: str, size: int) -> tuple[str, NDArray[Any]]:
        """The output of a product with its bias; zeros where none is added."""
        add = self.only_user(product, "Add")
        if add is not None:
            for bias in (self._weights[name] for name in add.input if name in self._weights):
                if bias.shape == (size,):
                    return add.output[0], bias
        return product, np.zeros(size, dtype=np.float32)


def _has_subgraphs(graph: Any) -> bool:
    """Whether nodes hold graphs of their own, which may take values of this one."""
    return any(one.HasField("g") or one.graphs for node in graph.node for one in node.attribute)


def _orders(node: Any, order: list[int]) -> bool:
    return node.op_type == "Transpose" and any(list(one.ints) == order for one in node.attribute)
