import pickle

from quaterion.utils.enums import TrainStage


def test_a_stage_prints_as_its_value():
    assert [str(stage) for stage in TrainStage] == ["train", "validation", "test"]
    assert f"loss_{TrainStage.TRAIN}" == "loss_train"


def test_a_stage_survives_pickling_as_the_same_object():
    assert pickle.loads(pickle.dumps(TrainStage.TEST)) is TrainStage.TEST
