import copy
import pickle

import pytest
import torch
from torch import nn

from quaterion_models.content_key import content_key
from quaterion_models.encoders import Encoder
from quaterion_models.encoders.encoder import check_embeddings
from quaterion_models.saving.files import ModelFolderError


class Linear(Encoder):
    def __init__(self, size, trainable=False, *, tags=()):
        self._size = size  # before super().__init__(), as users do
        super().__init__()
        self._trainable = trainable
        self.tags = tags
        self.layer = nn.Sequential(nn.Linear(3, size), nn.Dropout(0.5))
        self.register_buffer("offset", torch.zeros(size))

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return self._size

    def forward(self, batch):
        return self.layer(batch) + self.offset


class Wrapper(Linear):
    def __init__(self, backbone: nn.Module, size):
        super().__init__(size)
        self.backbone = backbone


def test_a_frozen_encoder_stays_in_eval_mode_and_a_trainable_one_does_not():
    assert not any(part.training for part in Linear(2).train().modules())
    assert all(part.training for part in Linear(2, trainable=True).train().modules())
    assert not any(part.training for part in Linear(2, trainable=True).train().eval().modules())


def test_frozen_encoders_in_another_module_stay_in_eval_mode():
    both = nn.ModuleList([Linear(2), Linear(2, trainable=True)]).train()
    assert [encoder.layer[1].training for encoder in both] == [False, True]


def test_gradients_are_switched_off_only_where_it_is_frozen():
    frozen, trained = Linear(2), Linear(2, trainable=True)
    for encoder in (frozen, trained):
        encoder.disable_gradients_if_required()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(parameter.requires_grad for parameter in trained.parameters())


def test_defaults_collate_tensors_and_extract_nothing():
    encoder = Linear(2)
    batch = encoder.get_collate_fn()([torch.zeros(3), torch.ones(3)])
    assert batch.shape == (2, 3)
    assert encoder.get_meta_extractor()(["a", "b"]) == [{}, {}]
    assert encoder.cache_key("text") == content_key("text")
    assert [encoder.length(obj) for obj in ("abc", b"ab", [1, 2], 7)] == [3, 2, 0, 0]


def test_is_saved_and_loaded_by_its_recorded_arguments(tmp_path):
    encoder = Linear(2, True, tags=("a", 1))
    nn.init.normal_(encoder.offset)
    encoder.save(tmp_path / "encoder")
    loaded = Linear.load(tmp_path / "encoder")
    assert loaded.trainable
    assert loaded.tags == ("a", 1)
    x = torch.rand(4, 3)
    assert torch.equal(loaded.eval()(x), encoder.eval()(x))


def test_recorded_arguments_survive_copy_and_pickle(tmp_path):
    for number, twin in enumerate((copy.deepcopy(Linear(5)), pickle.loads(pickle.dumps(Linear(5))))):
        twin.save(tmp_path / str(number))
        assert Linear.load(tmp_path / str(number)).embedding_size == 5


def test_an_argument_that_json_cannot_hold_is_named_when_loading(tmp_path):
    Wrapper(nn.Linear(3, 3), 2).save(tmp_path)
    with pytest.raises(ModelFolderError, match=r"'backbone': 'torch\.nn.*Linear'.*encoders=\{its name"):
        Wrapper.load(tmp_path)


def test_wrong_constructor_arguments_raise_as_usual():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'size'"):
        Linear()


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Encoder()


def test_embeddings_of_the_declared_size_pass():
    vectors = torch.zeros(3, 2)
    assert check_embeddings(vectors, "it", 2) is vectors


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (torch.zeros(3, 5), ValueError, r"it returned a tensor \[3, 5\], expected \[batch, 2\]"),
        (torch.zeros(3), ValueError, r"it returned a tensor \[3\]"),
        (torch.zeros(3, 2, 2), ValueError, "Correct embedding_size or what forward returns"),
        ([[1.0, 2.0]], TypeError, r"it returned list, expected a tensor \[batch, 2\]"),
    ],
)
def test_embeddings_of_another_form_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        check_embeddings(value, "it", 2)
