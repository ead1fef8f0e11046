"""What examples and class weights say of the groups, compared with numbers worked out by hand."""

import math

import pytest
import torch

from quaterion_models.predict.group_evidence import LabelledExamples, LabelWeights, labelled_examples

QUERY = torch.tensor([[3.0, 4.0]])  # cosines of 0.6 and 0.8 with the axes


def test_examples_tell_the_nearest_ones_and_the_nearest_of_another_group():
    examples = LabelledExamples(torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([1, 0]), num_groups=3)
    similarities, groups = examples.nearest(QUERY, 5)
    torch.testing.assert_close(similarities, torch.tensor([[0.8, 0.6]]))
    assert groups.tolist() == [[0, 1]]
    torch.testing.assert_close(examples.similarities(QUERY), torch.tensor([0.8]))
    torch.testing.assert_close(examples.similarities_without(QUERY, torch.tensor([0])), torch.tensor([0.6]))
    p = 1 / (1 + math.exp(-0.2 / 0.5))
    torch.testing.assert_close(examples.probabilities(QUERY, 2, 0.5), torch.tensor([[p, 1 - p, 0.0]]))


def test_class_weights_come_in_the_order_of_the_labels_and_those_without_have_no_share(vector_model):
    model = vector_model(classes=["a", "b", "c"])
    weights = LabelWeights(model, ["c", "new", "a"], "both")
    expected = model.class_weights(QUERY)
    assert weights.known.tolist() == [True, False, True]
    each = weights.each(QUERY)
    torch.testing.assert_close(each[:, [0, 2]], expected[:, [2, 0]])
    assert each[0, 1] == -math.inf
    torch.testing.assert_close(weights.similarities(QUERY), each.amax(dim=1))
    torch.testing.assert_close(weights.similarities_without(QUERY, torch.tensor([0])), each[:, 2])
    p = torch.softmax(expected[0, [2, 0]] / 0.5, dim=0)
    torch.testing.assert_close(weights.probabilities(QUERY, 0.5), torch.tensor([[p[0], 0.0, p[1]]]))


def test_class_weights_that_a_model_has_lost_are_missed(vector_model):
    model = vector_model(classes=["a", "b"])
    weights = LabelWeights(model, ["a", "b"], "weights")
    model.class_weights = None
    with pytest.raises(ValueError, match="the model's class weights were taken away since this classifier was made"):
        weights.each(QUERY)


def test_only_a_classifier_by_class_weights_does_without_examples():
    assert labelled_examples(None, None, 2, "weights") is None
    for given in ((None, None, 2, "both"), (None, torch.tensor([0]), 2, "weights")):
        with pytest.raises(ValueError, match=r"needs labelled examples: give examples= and groups="):
            labelled_examples(*given)
