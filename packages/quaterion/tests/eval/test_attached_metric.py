import copy
import pickle

import pytest
import torch

from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import RetrievalPrecision
from quaterion.utils.enums import TrainStage

POINTS = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
GROUPS = torch.tensor([0, 0, 1, 1])


def test_unknown_attributes_are_those_of_the_metric():
    attached = AttachedMetric("p", RetrievalPrecision(k=1))
    assert attached.k == 1
    assert attached.compute(embeddings=POINTS, groups=GROUPS) == 1.0
    attached.update(POINTS, GROUPS)
    assert attached.evaluate() == 1.0
    attached.reset()
    with pytest.raises(ValueError, match="before update"):
        attached.evaluate()


def test_an_attribute_that_neither_has_names_both():
    with pytest.raises(AttributeError, match=r"neither 'AttachedMetric' nor its metric 'RetrievalPrecision'.*'recal'"):
        _ = AttachedMetric("p", RetrievalPrecision()).recal


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_work_like_the_original(again):
    attached = AttachedMetric("p", RetrievalPrecision(k=1), prog_bar=True, sync_dist=True)
    copied = again(attached)
    assert (copied.name, copied.k, copied.stages) == ("p", 1, attached.stages)
    assert copied.log_options == attached.log_options
    assert copied.compute(POINTS, GROUPS) == 1.0


def test_a_deep_copy_gathers_on_its_own():
    attached = AttachedMetric("p", RetrievalPrecision(k=1))
    copied = copy.deepcopy(attached)
    copied.update(POINTS, GROUPS)
    with pytest.raises(ValueError, match="before update"):
        attached.evaluate()


def test_stages_are_train_and_validation_and_may_be_changed():
    one, other = (AttachedMetric("p", RetrievalPrecision()) for _ in range(2))
    assert one.stages == [TrainStage.TRAIN, TrainStage.VALIDATION]
    one.stages.append(TrainStage.TEST)
    assert other.stages == ["train", "validation"]


def test_options_of_the_log_are_kept_with_their_defaults():
    assert AttachedMetric("p", RetrievalPrecision()).log_options == {
        "logger": True,
        "prog_bar": False,
        "on_step": None,
        "on_epoch": None,
    }
    options = AttachedMetric("p", RetrievalPrecision(), False, True, True, False, rank_zero_only=True).log_options
    assert options == {"logger": False, "prog_bar": True, "on_step": True, "on_epoch": False, "rank_zero_only": True}


def test_a_class_in_place_of_a_metric_is_refused():
    with pytest.raises(TypeError, match=r"is the class RetrievalPrecision; expected an object: RetrievalPrecision\(\)"):
        AttachedMetric("p", RetrievalPrecision)


@pytest.mark.parametrize("name", ["", None, RetrievalPrecision()])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(TypeError, match="expected a text, such as 'precision_at_1'"):
        AttachedMetric(name, RetrievalPrecision())
