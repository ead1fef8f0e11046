"""Vectors that were computed elsewhere: what is taken, and what is refused."""

import numpy as np
import pytest
import torch

from quaterion.cache import EmbeddingStore


@pytest.mark.parametrize("on_disk", [False, True])
def test_vectors_in_half_precision_and_equal_rows_are_taken_and_unequal_ones_refused(tmp_path, on_disk):
    folder = tmp_path / "s" if on_disk else None
    table = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    store = EmbeddingStore.from_vectors(["a", "b", "a"], table.bfloat16(), folder=folder)
    assert len(store) == 2 and store.vectors_of(["a"]).tolist() == [[1.0, 2.0]]
    with pytest.raises(ValueError, match="Rows 0 and 2 have the same key and different vectors"):
        EmbeddingStore.from_vectors(["a", "b", "a"], table + torch.arange(3)[:, None])
    for text in ("ab", b"ab"):
        with pytest.raises(TypeError, match="expected a list of objects, such as"):
            EmbeddingStore.from_vectors(text, table[:2])


@pytest.mark.parametrize(
    ("keys", "vectors", "message"),
    [
        (["a"], [[1.0], [2.0]], "Got 1 keys and 2 vectors"),
        (["a"], [1.0], r"shape \[1\]; expected \[N, D\]"),
        (["a", "b"], [[1.0], [float("nan")]], "Vector 1 has NaN"),
        (np.zeros((1, 8), np.uint8), [[1.0]], r"content keys of shape \[1, 8\]; expected \[N, 16\]"),
    ],
)
def test_bad_vectors_are_refused(keys, vectors, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingStore.from_vectors(keys, vectors)
