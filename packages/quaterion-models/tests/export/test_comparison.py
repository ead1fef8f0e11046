"""What counts as a difference between an exported model and the model it was made of."""

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.export.comparison import ExportedModel, compare, float32_copy, have_length_1, vectors_of
from quaterion_models.export.graphs import plan_graphs
from quaterion_models.heads import GatedHead

VECTORS = np.random.default_rng(0).standard_normal((11, 4)).astype(np.float32)


class Runtime:
    """Stands for an exported model that computes anything."""

    def __init__(self, function):
        self._function = function

    def encode_query(self, objects, batch_size):
        return self._function(np.stack(objects))


def compared(function, most=1e-4):
    model = SimilarityModel(VectorEncoder(4), GatedHead(4))
    exported = ExportedModel(Runtime(function), model, plan_graphs(model, []))
    return compare(exported, list(VECTORS), {"query": VECTORS}, most)


def test_equal_vectors_differ_by_nothing_one_by_one_and_in_batches():
    found = compared(lambda x: x)
    assert found.shape == (22,) and not found.any()


def test_the_difference_is_one_minus_the_cosine():
    angle = 0.01
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found = compared(lambda x: (x @ turn.T).astype(np.float32))
    turned = VECTORS @ turn.T
    cosines = (VECTORS * turned).sum(axis=1) / (VECTORS**2).sum(axis=1)
    np.testing.assert_allclose(found[:11], 1 - cosines, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: -x, "1 - cosine is 2, more than 0.0001"),
        (lambda x: x * 1.1, r"in batches of 1, 1 - cosine is 0\.0045"),  # 0.1² / (2 · 1.1)
        (lambda x: x * np.float32("nan"), "1 - cosine is nan"),
        (lambda x: x if len(x) == 1 else x[::-1], "as a query in batches of 8"),
    ],
)
def test_what_differs_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        compared(function)


def test_the_copy_is_float32_and_the_model_stays_as_it_was():
    model = SimilarityModel(VectorEncoder(4), GatedHead(4)).to(torch.bfloat16).train()
    whole = float32_copy(model)
    assert {one.dtype for one in whole.parameters()} == {torch.float32} and not whole.training
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16} and model.training


def test_expected_vectors_are_cut_before_they_are_scaled():
    model = SimilarityModel(VectorEncoder(4), GatedHead(4)).eval()
    found = vectors_of(model, list(VECTORS), normalize=True, dimensions=2)
    cut = VECTORS[:, :2] / np.linalg.norm(VECTORS[:, :2], axis=1, keepdims=True)  # all gates are equal
    np.testing.assert_allclose(found["query"], cut, atol=1e-6)
    assert have_length_1(found) and not have_length_1({"query": VECTORS})


def test_a_model_without_finite_vectors_is_refused():
    model = SimilarityModel(VectorEncoder(4), GatedHead(4)).eval()
    with torch.no_grad():
        model.head.gates.fill_(torch.nan)
    with pytest.raises(ValueError, match="embeddings that are not finite"):
        vectors_of(model, list(VECTORS), normalize=False, dimensions=None)
