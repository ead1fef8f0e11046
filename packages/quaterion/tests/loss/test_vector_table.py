import pytest
import torch
from torch import nn

from quaterion.loss import TeacherVectors, VectorTable


def test_vectors_are_found_by_id_in_any_order() -> None:
    ids = torch.tensor([2**62 + 1, -5, 2**62, 0])
    table = VectorTable(ids, torch.arange(4.0).unsqueeze(1))
    assert table(torch.tensor([0, -5, 2**62, 2**62 + 1, 0])).flatten().tolist() == [3, 1, 2, 0, 3]


def test_unknown_ids_are_listed() -> None:
    table = VectorTable(torch.tensor([1, 3]), torch.zeros(2, 2))
    assert table.missing(torch.tensor([0, 1, 2, 3, 4])).tolist() == [0, 2, 4]


def test_the_table_moves_with_the_loss_and_is_not_saved() -> None:
    table = VectorTable(torch.tensor([1, 3]), torch.zeros(2, 2))
    assert table.state_dict() == {}
    assert table.to("meta").vectors.device.type == "meta"


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"needs N ids and N vectors, N at least 1, got shapes \(2,\) and \(3, 4\)"):
        VectorTable(torch.arange(2), torch.zeros(3, 4))


def test_an_encoder_as_source_is_no_part_of_the_loss() -> None:
    source = nn.Linear(2, 2)
    vectors = TeacherVectors(source, "guide")
    assert vectors.source is source
    assert list(vectors.parameters()) == []
    assert not vectors.bound
    with pytest.raises(ValueError, match="the guide has no vectors yet: .* pass guide=VectorTable"):
        vectors(torch.tensor([1]))
    vectors.bind(VectorTable(torch.tensor([1]), torch.ones(1, 2)))
    assert vectors.bound
    assert vectors(torch.tensor([1])).tolist() == [[1, 1]]


def test_vectors_without_ids_are_refused() -> None:
    with pytest.raises(TypeError, match=r"teacher must be .* got Tensor: wrap vectors as VectorTable\(ids, vectors\)"):
        TeacherVectors(torch.zeros(2, 2), "teacher")
    vectors = TeacherVectors(VectorTable(torch.tensor([1]), torch.ones(1, 2)), "teacher")
    with pytest.raises(ValueError, match="looked up by ids: pass ids, or teacher_embeddings"):
        vectors(None)


def test_objects_that_the_table_does_not_know_are_found_when_fit_starts() -> None:
    vectors = TeacherVectors(VectorTable(torch.tensor([1]), torch.ones(1, 2)), "guide")
    vectors.check_ids(torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="the guide has no vector for 2 of 3 objects of the data, the first with id 7"):
        vectors.check_ids(torch.tensor([7, 1, 8]))
