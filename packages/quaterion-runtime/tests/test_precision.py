import numpy as np
import pytest

from quaterion_runtime import cosine_similarity, int8_similarity, quantize

VECTORS = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)


def test_int8_keeps_directions_to_within_half_a_step():
    packed = quantize(VECTORS, "int8")
    assert packed.dtype == np.int8 and (np.abs(packed).max(axis=1) == 127).all()
    steps = np.abs(VECTORS).max(axis=1, keepdims=True) / 127
    assert (np.abs(packed * steps - VECTORS) <= steps * 0.5001).all()
    error = np.abs(int8_similarity(packed, packed) - cosine_similarity(VECTORS, VECTORS))
    assert 0 < error.max() < 0.01


def test_the_scale_of_a_vector_does_not_change_what_is_kept():
    scaled = VECTORS * np.geomspace(1e-6, 1e6, len(VECTORS), dtype=np.float32)[:, None]
    assert (quantize(scaled, "binary") == quantize(VECTORS, "binary")).all()
    assert (np.abs(quantize(scaled, "int8").astype(int) - quantize(VECTORS, "int8")) <= 1).all()  # rounding


def test_binary_keeps_signs():
    packed = quantize(VECTORS[:, :37], "binary")
    assert packed.shape == (50, 5)
    assert (np.unpackbits(packed, axis=1, count=37) == (VECTORS[:, :37] > 0)).all()
    assert (np.unpackbits(packed, axis=1)[:, 37:] == 0).all()


def test_zeros_stay_zeros():
    assert (quantize(np.zeros((2, 8)), "int8") == 0).all()
    assert (quantize(np.zeros((2, 8)), "binary") == 0).all()


@pytest.mark.parametrize("wrong", [np.zeros(3), np.array([["a"]]), np.array([[np.nan]]), np.array([[np.inf]])])
def test_what_is_no_matrix_of_finite_numbers_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected a matrix \[N, D\] of finite numbers"):
        quantize(wrong, "int8")
