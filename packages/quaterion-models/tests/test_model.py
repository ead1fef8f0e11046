import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from quaterion_models import Meta, MetricModel, SimilarityModel
from quaterion_models.encoders import Encoder, SwitchEncoder
from quaterion_models.heads import EmptyHead, GatedHead, SequentialHead, SwitchHead
from quaterion_models.model import DEFAULT_ENCODER_KEY


def letters(batch):
    return torch.tensor([[float(len(text)), float(text.count("a")), 1.0] for text in batch])


class Letters(Encoder):
    """Text to (length, number of a, 1), times a weight; notes every batch it sees in `seen`."""

    seen: list

    def __init__(self, trainable=False, declared=3):
        super().__init__()
        self._trainable = trainable
        self._declared = declared
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.seen = []

    @property
    def trainable(self):
        return self._trainable

    @property
    def embedding_size(self):
        return self._declared

    def get_collate_fn(self):
        return letters

    def forward(self, batch):
        self.seen.append(batch[:, 0].tolist())
        return (batch * self.weight).to(self.weight.dtype)


TEXTS = ["a", "bbb", "aa", "", "cccc"]
EXPECTED = np.array([[len(text), 2 * text.count("a"), 3] for text in TEXTS], dtype=np.float32)


def make(**options):
    return SimilarityModel(Letters(**options), EmptyHead(3))


def two_sided():
    return SimilarityModel(Letters(), SwitchHead({"query": EmptyHead(3), "document": GatedHead(3)}, 3))


def test_one_encoder_gets_the_default_name():
    model = make()
    assert list(model.encoders) == [DEFAULT_ENCODER_KEY] == ["default"]
    assert MetricModel is SimilarityModel


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_encode_keeps_the_order_whatever_the_batch_size(batch_size):
    assert np.array_equal(make().encode(TEXTS, batch_size), EXPECTED)


def test_the_longest_come_first():
    model = make()
    model.encode(TEXTS, batch_size=2)
    assert model.encoders["default"].seen == [[4, 3], [2, 1], [0]]


def test_encode_takes_tuples_arrays_and_single_objects():
    model = make()
    assert np.array_equal(model.encode(tuple(TEXTS)), EXPECTED)
    assert np.array_equal(model.encode(np.array(TEXTS)), EXPECTED)
    assert np.array_equal(model.encode("bbb"), EXPECTED[1:2])


@pytest.mark.parametrize("nothing", [[], (), np.array([], dtype=str)])
def test_encode_of_nothing_gives_no_rows_of_the_right_size(nothing):
    result = make().encode(nothing)
    assert result.shape == (0, 3)
    assert result.dtype == np.float32
    assert make().encode(nothing, to_numpy=False).shape == (0, 3)


def test_encode_gives_arrays_or_tensors_without_gradients():
    model = make(trainable=True)
    assert isinstance(model.encode(TEXTS), np.ndarray)
    tensor = model.encode(TEXTS, to_numpy=False)
    assert isinstance(tensor, torch.Tensor)
    assert not tensor.requires_grad


def test_encode_normalizes_on_request():
    lengths = np.linalg.norm(make().encode(TEXTS, normalize=True), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_encode_restores_the_mode_of_every_part():
    model = SimilarityModel(Letters(trainable=True), EmptyHead(3, dropout=0.9)).train()
    assert np.array_equal(model.encode(TEXTS), EXPECTED)  # no dropout meanwhile
    assert model.training
    assert model.head.dropout.training
    assert not model.eval().training


def test_encode_shows_progress_on_request(capsys):
    make().encode(TEXTS, show_progress=True)
    assert "5/5" in capsys.readouterr().err
    make().encode(TEXTS)
    assert capsys.readouterr().out == ""


def test_half_precision_becomes_an_array():
    assert make().to(torch.float16).encode(TEXTS).dtype == np.float16
    assert make().to(torch.bfloat16).encode(TEXTS).dtype == np.float32


def test_a_one_sided_model_encodes_both_sides_alike():
    model = make()
    assert np.array_equal(model.encode_query(TEXTS), EXPECTED)
    assert np.array_equal(model.encode_document(TEXTS), EXPECTED)
    assert not model.two_sided


def test_a_two_sided_model_encodes_queries_by_default():
    model = two_sided()
    documents = EXPECTED * np.tanh(2.0)
    assert model.two_sided
    assert np.array_equal(model.encode(TEXTS), EXPECTED)
    assert np.array_equal(model.encode_query(TEXTS), EXPECTED)
    np.testing.assert_allclose(model.encode_document(TEXTS, 2), documents, rtol=1e-6)
    assert model.encode_document([]).shape == (0, 3)
    normal = model.encode_document(TEXTS, to_numpy=False, normalize=True)
    np.testing.assert_allclose(normal.norm(dim=1).numpy(), 1, rtol=1e-6)


def test_the_collate_function_is_picklable_and_feeds_forward():
    model = two_sided()
    collate = pickle.loads(pickle.dumps(model.get_collate_fn()))
    batch = collate(TEXTS)
    assert list(batch) == ["data", "meta"]
    assert batch["meta"] == [{}] * 5
    assert torch.equal(model(batch), torch.tensor(EXPECTED))
    sides = ["document"] + ["query"] * 4
    torch.testing.assert_close(
        model(collate(TEXTS, sides))[0], torch.tensor(EXPECTED[0]) * torch.tanh(torch.tensor(2.0))
    )


def test_one_input_goes_through_two_encoders_joined_in_the_order_of_the_dict():
    for names in (["b", "a"], ["a", "b"]):
        encoders = {"a": Letters(), "b": Letters()}
        with torch.no_grad():
            encoders["b"].weight.zero_()
        model = SimilarityModel({name: encoders[name] for name in names}, EmptyHead(6))
        parts = {"a": EXPECTED, "b": EXPECTED * 0}
        assert np.array_equal(model.encode(TEXTS), np.concatenate([parts[name] for name in names], axis=1))
        assert np.array_equal(model.encode("bbb")[0], model.encode(TEXTS)[1])


def test_any_name_works_for_an_encoder(tmp_path):
    names = ["a.b", "keys", "type", "", "values", "forward", "ä/\\", "x" * 300, "A", "a"]
    model = SimilarityModel({name: Letters() for name in names}, EmptyHead(3 * len(names)))
    assert list(model.encoders) == names
    assert model.encode("a").shape == (1, 30)
    model.save(tmp_path / "m")
    loaded = SimilarityModel.load(tmp_path / "m")
    assert list(loaded.encoders) == names
    assert np.array_equal(loaded.encode(TEXTS), model.encode(TEXTS))


def test_embed_joins_vectors_from_anywhere():
    model = SimilarityModel({"a": Letters(), "b": Letters()}, GatedHead(6))
    vectors = {"b": torch.ones(2, 3), "a": torch.zeros(2, 3)}
    expected = torch.tensor([[0.0] * 3 + [float(np.tanh(2.0))] * 3] * 2)
    torch.testing.assert_close(model.embed(vectors, Meta.empty(2)), expected)


def test_frozen_encoders_give_vectors_without_gradients_and_trainable_ones_with():
    model = SimilarityModel({"frozen": Letters(), "trained": Letters(trainable=True)}, GatedHead(6))
    model(model.get_collate_fn()(TEXTS)).sum().backward()
    assert model.encoders["frozen"].weight.grad is None
    assert not model.encoders["frozen"].weight.requires_grad
    assert model.encoders["trained"].weight.grad is not None
    assert model.head.gates.grad is not None


def test_building_a_model_puts_frozen_encoders_into_eval_mode():
    model = SimilarityModel({"frozen": Letters(), "trained": Letters(trainable=True)}, EmptyHead(6))
    assert [encoder.training for encoder in model.encoders.values()] == [False, True]
    assert model.training


def test_a_model_without_head_can_be_built_but_not_used():
    model = SimilarityModel(Letters(), None)
    for call in (lambda: model.encode(TEXTS), lambda: model.encode([]), lambda: model.output_size):
        with pytest.raises(ValueError, match=r"has no head.*Set model\.head"):
            call()
    model.head = EmptyHead(3)
    assert np.array_equal(model.encode(TEXTS), EXPECTED)


def test_an_output_size_other_than_declared_is_named():
    with pytest.raises(
        ValueError, match=r"encoder 'default' \(Letters\) returned a tensor \[5, 3\], expected \[batch, 4\]"
    ):
        SimilarityModel(Letters(declared=4), EmptyHead(4)).encode(TEXTS)


def test_a_head_of_another_input_size_is_named():
    model = SimilarityModel({"a": Letters(), "b": Letters()}, EmptyHead(4))
    message = r"takes vectors of size 4, but the encoders give 6 in all: \{'a': 3, 'b': 3\}"
    with pytest.raises(ValueError, match=message):
        model.check_sizes()
    with pytest.raises(ValueError, match=message):
        model.encode("a")


def test_a_head_that_does_not_know_its_input_size_takes_any():
    model = SimilarityModel(Letters(), SequentialHead(nn.Tanh(), output_size=3))
    model.check_sizes()
    assert model.encode("a").shape == (1, 3)


def test_encoders_that_give_other_numbers_of_rows_are_named():
    model = SimilarityModel({"a": Letters(), "b": Letters()}, EmptyHead(6))
    with pytest.raises(ValueError, match=r"different numbers of vectors for one batch: \{'a': 2, 'b': 1\}"):
        model.embed({"a": torch.ones(2, 3), "b": torch.ones(1, 3)})


def test_a_batch_without_an_encoders_data_is_named():
    with pytest.raises(ValueError, match=r"no data for the encoders \['default'\], it has \['other'\]"):
        make()({"data": {"other": 1}, "meta": []})


def test_get_encoders_output_size_adds_up():
    assert SimilarityModel.get_encoders_output_size(Letters()) == 3
    assert SimilarityModel.get_encoders_output_size({"a": Letters(), "b": Letters(declared=5)}) == 8


@pytest.mark.parametrize(
    ("encoders", "head", "error", "message"),
    [
        ({}, EmptyHead(3), ValueError, "at least one encoder"),
        ([Letters()], EmptyHead(3), TypeError, "must be an Encoder or a dict of encoders, got list"),
        ({"a": nn.Linear(1, 1)}, EmptyHead(3), TypeError, "encoder 'a' must be an Encoder, got Linear"),
        ({3: Letters()}, EmptyHead(3), TypeError, "a name must be text, got int 3"),
        (Letters(), nn.Linear(3, 3), TypeError, "head must be an EncoderHead or None, got Linear"),
    ],
)
def test_wrong_parts_are_named(encoders, head, error, message):
    with pytest.raises(error, match=message):
        SimilarityModel(encoders, head)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_wrong_batch_size_is_named(batch_size):
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1, got"):
        make().encode(TEXTS, batch_size)


def test_copies_and_pickles_compute_the_same():
    model = two_sided()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(twin.encode_document(TEXTS), model.encode_document(TEXTS))


def test_the_device_is_that_of_the_first_parameter():
    assert make().device == torch.device("cpu")
    assert SimilarityModel(Letters(), EmptyHead(3)).to("meta").device == torch.device("meta")


def test_importing_loads_neither_heavy_libraries_nor_lightning():
    code = (
        "import sys, quaterion_models, quaterion_models.encoders, quaterion_models.heads;"
        "print([m for m in ('transformers', 'sentence_transformers', 'pytorch_lightning', 'rich', 'PIL', 'quaterion')"
        " if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_function_for_sides_counts_whatever_its_truth_value():
    class Prompts(dict):  # an empty one is false
        def __call__(self, obj, side):
            return self.get(side, "") + obj

    class Prompted(Letters):
        def get_side_fn(self):
            return Prompts()

    model = SimilarityModel(Prompted(), EmptyHead(3))
    assert model.two_sided and not SimilarityModel(Letters(), EmptyHead(3)).two_sided
    assert SwitchEncoder({"a": Prompted()}).get_side_fn() is not None
