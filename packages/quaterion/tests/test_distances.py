import json

import pytest
import torch

from quaterion.distances import Distance


def test_every_name_resolves_and_is_its_own_string() -> None:
    assert {str(name) for name in Distance} == {"euclidean", "cosine", "dot_product", "manhattan"}
    assert json.dumps(Distance.COSINE) == '"cosine"'
    for name in Distance:
        assert Distance.get_by_name(name) == Distance.get_by_name(name.value)


@pytest.mark.parametrize("call", [Distance, Distance.get_by_name])
def test_an_unknown_name_lists_the_known_ones(call: type[Distance]) -> None:
    with pytest.raises(ValueError, match="unknown distance 'cos': .*'euclidean', 'cosine', 'dot_product', 'man"):
        call("cos")


@pytest.mark.parametrize("name", list(Distance))
def test_matrices_hold_what_rows_give(name: Distance) -> None:
    metric = Distance.get_by_name(name)
    x, y = torch.randn(4, 6).double(), torch.randn(3, 6).double()
    for rows, matrix in ((metric.distance, metric.distance_matrix), (metric.similarity, metric.similarity_matrix)):
        expected = torch.stack([rows(x, y[j].expand_as(x)) for j in range(3)], dim=1)
        assert torch.allclose(matrix(x, y), expected)
        assert torch.allclose(matrix(x), matrix(x, x))


def test_definitions_on_two_vectors() -> None:
    x, y = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    expected = {  # distance and similarity of (3, 0) and (0, 4)
        Distance.COSINE: (1.0, 0.0),
        Distance.DOT_PRODUCT: (0.0, 0.0),
        Distance.EUCLIDEAN: (5.0, 1 / 6),
        Distance.MANHATTAN: (7.0, 1 / 8),
    }
    for name, (distance, similarity) in expected.items():
        metric = Distance.get_by_name(name)
        assert metric.distance(x, y).item() == pytest.approx(distance)
        assert metric.similarity(x, y).item() == pytest.approx(similarity)


def test_cosine_keeps_its_sign_for_rows_and_matrices() -> None:
    metric = Distance.get_by_name(Distance.COSINE)
    x = torch.tensor([[1.0, 0.0]])
    assert metric.similarity(x, -x).item() == -1.0
    assert metric.similarity_matrix(x, -x).item() == -1.0
    assert metric.distance(x, -x).item() == 2.0
    assert metric.distance_matrix(x, -x).item() == 2.0
