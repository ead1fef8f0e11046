import copy
import pickle

import pytest
import torch
from torch import nn

from quaterion_models.heads import EncoderHead, GatedHead


class Halving(EncoderHead):
    def __init__(self, input_embedding_size, times=1, *, sizes=(1, 2), note=None):
        self.note = note  # set before super().__init__(), as users do
        super().__init__(input_embedding_size)
        self.times = times
        self.sizes = sizes
        self.layer = nn.Linear(input_embedding_size, self.output_size)

    @property
    def output_size(self):
        return self.input_embedding_size // 2

    def transform(self, input_vectors):
        return self.layer(input_vectors) * self.times


def test_constructor_arguments_are_recorded_with_defaults():
    assert Halving(4, times=3).get_config_dict() == {
        "input_embedding_size": 4,
        "times": 3,
        "sizes": (1, 2),
        "note": None,
    }


def test_recorded_arguments_survive_copy_and_pickle():
    head = Halving(4, 2, note="n")
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert twin.get_config_dict() == head.get_config_dict()
        x = torch.rand(3, 4)
        assert torch.equal(twin(x), head(x))


def test_later_changes_of_an_argument_do_not_change_the_record():
    sizes = [1, 2]
    head = Halving(4, sizes=sizes)
    sizes.append(3)
    assert head.get_config_dict()["sizes"] == [1, 2]


def test_a_users_head_is_saved_and_loaded(tmp_path):
    head = Halving(4, 2, sizes=(5,))
    head.save(tmp_path / "head")
    loaded = Halving.load(tmp_path / "head")
    assert loaded.sizes == (5,)
    x = torch.rand(3, 4)
    assert torch.equal(loaded(x), head(x))


def test_loading_by_the_base_class_gives_the_class_that_was_saved(tmp_path):
    GatedHead(3).save(tmp_path)
    assert type(EncoderHead.load(tmp_path)) is GatedHead


def test_loading_by_another_class_says_which_it_is(tmp_path):
    GatedHead(3).save(tmp_path)
    with pytest.raises(TypeError, match=r"holds a GatedHead, not a Halving: use GatedHead\.load"):
        Halving.load(tmp_path)


def test_dropout_zeroes_inputs_only_while_training():
    class Same(EncoderHead):
        output_size = 1000

        def transform(self, input_vectors):
            return input_vectors

    head = Same(1000, dropout=0.5)
    x = torch.ones(1, 1000)
    assert 300 < int((head(x) == 0).sum()) < 700
    assert torch.equal(head.eval()(x), x)


@pytest.mark.parametrize("size", [0, -1, 2.5, "4", True, None])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="input_embedding_size must be an integer of at least 1, got"):
        GatedHead(size)


@pytest.mark.parametrize("dropout", [-0.1, 1.1, float("nan")])
def test_a_dropout_that_is_no_probability_is_refused(dropout):
    with pytest.raises(ValueError, match=r"dropout must lie in 0\.\.1"):
        GatedHead(4, dropout=dropout)


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        EncoderHead(3)
