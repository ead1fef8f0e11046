import pytest
import torch

from quaterion.dataset import SimilarityGroupSample
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.samplers import GroupSampler
from quaterion_models.heads import EmptyHead

VECTORS = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1]}


def quiet(**options):
    return GroupSampler(log_progress=False, **options)


def test_rows_follow_the_data_and_equal_objects_are_encoded_once(model_of, encoder_of):
    data = [SimilarityGroupSample(text, group) for text, group in [("b", "x"), ("a", "y"), ("b", "y"), ("c", "x")]]
    model = model_of(VECTORS)
    task = quiet().task(data, model)
    assert task.candidates.tolist() == [VECTORS[text] for text in "babc"]
    assert sorted(encoder_of(model).asked) == ["a", "b", "c"]
    assert task.num_relevant.tolist() == [1, 1, 1, 1]
    assert task.relevant(torch.tensor([0])).tolist() == [[True, False, False, True]]


def test_a_two_sided_model_encodes_groups_as_queries(model_of):
    data = [SimilarityGroupSample(text, text) for text in "ab"]

    class Negated(EmptyHead):
        def transform(self, input_vectors):
            return -input_vectors

    task = quiet().task(data, model_of(VECTORS, document_head=Negated(3)))
    assert task.candidates.tolist() == [VECTORS["a"], VECTORS["b"]]


def test_groups_may_be_of_any_hashable_kind(model_of):
    data = [
        SimilarityGroupSample("a", (1, "x")),
        SimilarityGroupSample("b", b"y"),
        SimilarityGroupSample("c", (1, "x")),
    ]
    assert quiet().task(data, model_of(VECTORS)).num_relevant.tolist() == [1, 0, 1]


@pytest.mark.parametrize(("group", "error"), [(float("nan"), ValueError), ([1], TypeError)])
def test_a_group_that_equals_nothing_is_refused(group, error, model_of):
    data = [SimilarityGroupSample("a", 0), SimilarityGroupSample("b", group)]
    with pytest.raises(error, match=r"Sample 1: A group is"):
        quiet().task(data, model_of(VECTORS))


def test_a_vector_that_is_not_finite_names_the_object(model_of):
    data = [SimilarityGroupSample("a", 0), SimilarityGroupSample("n", 1)]
    with pytest.raises(ValueError, match=r"1 of 2 objects hold NaN or infinity, the first in row 1"):
        quiet().task(data, model_of(VECTORS | {"n": [0, float("nan"), 0]}))


def test_one_group_is_refused(model_of):
    with pytest.raises(UnscorableSetError, match=r"All 2 objects are of one group"):
        quiet().task([SimilarityGroupSample(text, "x") for text in "ab"], model_of(VECTORS))


def test_the_progress_bar_goes_to_standard_error_and_only_on_request(model_of, capsys):
    data = [SimilarityGroupSample(text, text) for text in "abc"]
    quiet().task(data, model_of(VECTORS))
    assert capsys.readouterr() == ("", "")
    GroupSampler().task(data, model_of(VECTORS))
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
