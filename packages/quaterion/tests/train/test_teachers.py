"""Teachers: what they may be, and that they wait until the data are checked."""

import pytest

from quaterion import Quaterion
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import DistillationLoss, GuidedNegatives, MultipleNegativesRankingLoss
from quaterion.train import prepare_batches
from quaterion.train.cache import CacheConfig


def loader_of(*scores, **arguments):
    data = [
        SimilarityPairSample((float(i), 1.0, 0, 0), (0, 0, 1.0, float(i)), s, **arguments) for i, s in enumerate(scores)
    ]
    return PairsSimilarityDataLoader(data, batch_size=4)


def guided(teacher):
    return GuidedNegatives(MultipleNegativesRankingLoss(), teacher)


def test_no_teacher_encodes_before_all_data_are_checked(model_type, encoder_type, make_trainer):
    teacher, student = encoder_type(seed=3), encoder_type()
    model = model_type(loss=guided(teacher), encoders=student, caches=CacheConfig())
    with pytest.raises(ValueError, match="score 1, but 1 of 2 pairs"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 0))
    with pytest.raises(ValueError, match="score 1, but 1 of 2 pairs"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 1), loader_of(0, 1))
    with pytest.raises(TypeError, match="unhashable"):
        Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 1), loader_of(1, subgroup=[1]))
    with pytest.raises(ValueError, match="score 1, but 1 of 2 pairs"):
        prepare_batches(model, loader_of(1, 0))
    assert int(teacher.encoded) == int(student.encoded) == 0


def test_a_teacher_encodes_the_new_objects_of_a_later_training(model_type, encoder_type, make_trainer):
    teacher = encoder_type(seed=3)
    model = model_type(loss=guided(teacher))
    model.process_results = lambda **_: None
    Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 1))
    assert int(teacher.encoded) == 4
    Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 1, 1))
    assert len(model.loss.guide.table.ids) == 6


@pytest.mark.parametrize(("make", "role"), [(DistillationLoss, "teacher"), (guided, "guide")])
def test_what_gives_no_fixed_vectors_is_refused_first(model_type, encoder_type, make_trainer, make, role):
    student = encoder_type()
    for source, message in (
        (encoder_type(trainable=True), rf"The {role} is a LinearEncoder that is trainable, .* trainable = False"),
        (42, f"The {role} is a int; expected an Encoder, an EmbeddingStore or a VectorTable"),
    ):
        model = model_type(loss=make(source), encoders=student, caches=CacheConfig())
        with pytest.raises(TypeError, match=message):
            Quaterion.fit(model, make_trainer(max_epochs=1), loader_of(1, 1))
    assert int(student.encoded) == 0
