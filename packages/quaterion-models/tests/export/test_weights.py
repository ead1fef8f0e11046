"""Graphs with smaller weights, run by onnxruntime and compared with numpy."""

import numpy as np
import pytest

from quaterion_models.export.weights import halve_weights, quantize_weights

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.standard_normal((64, 32)).astype(np.float32) * np.linspace(0.01, 5, 64, dtype=np.float32)[:, None]
FIRST = RANDOM.standard_normal((32, 64)).astype(np.float32) * np.linspace(0.01, 5, 64, dtype=np.float32)
SECOND = RANDOM.standard_normal((40, 64)).astype(np.float32)  # of a Gemm with transB
BIAS = RANDOM.standard_normal(40).astype(np.float32)
IDS = np.array([33, 40, 63, 50], dtype=np.int64)


def graph(*, alpha: float = 1.0):
    """Gemm(MatMul(Gather(table, ids), first), secondᵀ) + bias"""
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "first"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "second", "bias"], ["out"], transB=1, alpha=alpha),
    ]
    tensors = {"table": TABLE, "first": FIRST, "second": SECOND, "bias": BIAS}
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", kind.INT64, ["n"])],
        [helper.make_tensor_value_info("out", kind.FLOAT, ["n", 40])],
        [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model, *names):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["out"], {"ids": IDS})[0]


def expected(alpha=1.0):
    return alpha * (TABLE[IDS] @ FIRST) @ SECOND.T + BIAS


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_integers_have_a_scale_for_each_row_and_output():
    model = graph()
    quantize_weights(model)
    found, wanted = run(model), expected()
    # Columns span a factor of 500: with one scale for each matrix the small ones would be lost.
    assert cosines(found, wanted).min() > 0.999
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("MatMulInteger") == 2 and "MatMul" not in kinds and "Gemm" not in kinds
    largest = max(onnx.numpy_helper.to_array(one).nbytes for one in model.graph.initializer)
    assert largest == max(TABLE.size, FIRST.size, SECOND.size)  # one byte a number


def test_two_products_fit_into_16_bits_wherever_it_runs():
    model = graph()
    quantize_weights(model)
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for name in ("first_int8", "second_transposed_int8"):
        assert weights[name].dtype == np.int8
        assert 2 * 255 * int(np.abs(weights[name]).max()) < 2**15  # activations go up to 255


def test_rows_of_a_table_keep_their_own_scale():
    model = graph()
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 32]))
    del model.graph.node[1:]
    quantize_weights(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.array([0, 63], dtype=np.int64)  # one 500 times the other
    assert cosines(session.run(None, {"ids": ids})[0], TABLE[ids]).min() > 0.9999


def test_a_product_with_a_factor_of_its_own_stays_as_it_is():
    model = graph(alpha=0.5)
    quantize_weights(model)
    assert [node.op_type for node in model.graph.node].count("Gemm") == 1
    assert cosines(run(model), expected(0.5)).min() > 0.999


def test_half_precision_is_float32_again_when_it_is_used():
    model = graph()
    size = model.ByteSize()
    halve_weights(model)
    assert model.ByteSize() < 0.6 * size
    halved = {name: value.astype(np.float16).astype(np.float32) for name, value in (("t", TABLE), ("f", FIRST))}
    wanted = (halved["t"][IDS] @ halved["f"]) @ SECOND.astype(np.float16).astype(np.float32).T + BIAS
    np.testing.assert_allclose(run(model), wanted, rtol=1e-5, atol=1e-5)


def test_weights_beyond_half_precision_stay_as_they_are():
    model = graph()
    large = FIRST * 1e6
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(large, "first"))
    halve_weights(model)
    wanted = (TABLE[IDS] @ large) @ SECOND.T + BIAS
    np.testing.assert_allclose(run(model), wanted, atol=1e-2 * np.abs(wanted).max())
