"""What cannot be exported says why, in one sentence."""

import pytest
import torch

from quaterion_models.encoders import Encoder, FieldEncoder, SwitchEncoder, VectorEncoder
from quaterion_models.encoders.callable_encoder import CallableEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.export.inputs import describe_input


class Words(Encoder):
    trainable = False
    embedding_size = 1

    def get_collate_fn(self):
        return lambda texts: {"text": texts}

    def forward(self, batch):
        return torch.zeros(len(batch["text"]), 1)


class Sided(Words):
    def get_side_fn(self):
        return lambda obj, side: (side, obj)


class Either(SwitchEncoder):
    @classmethod
    def encoder_selection(cls, record):
        return "small" if len(record) == 2 else "large"


def test_a_vector_is_described_by_its_size():
    described = describe_input(VectorEncoder(3), [])
    assert (described.kind, described.described) == ("vector", {"size": 3})


@pytest.mark.parametrize(
    ("encoder", "objects", "message"),
    [
        (Words(), ["a"], "the collate function of Words returned dict for 3 objects"),
        (Sided(), ["a"], r"Sided prepares queries and documents with code of its own \(get_side_fn\)"),
        (CallableEncoder(len, 2, version="1"), [], r"builtins:len is a function, .* VectorEncoder\(2\) in its place"),
        (FieldEncoder("a", FieldEncoder("b", VectorEncoder(2))), [], "a field of a field cannot be exported"),
        (FieldEncoder("a", Either({"small": VectorEncoder(2)})), [], "where it is the model's only encoder"),
    ],
)
def test_what_cannot_be_exported(encoder, objects, message):
    with pytest.raises(ValueError, match=message):
        describe_input(encoder, objects)


def test_a_collate_function_of_ones_own_over_a_known_text_encoder_is_refused(tiny_model):
    class Lower(TransformersEncoder):
        def get_collate_fn(self):
            return lambda texts: {"input_ids": torch.zeros(len(texts), 2, dtype=torch.int64)}

    with pytest.raises(ValueError, match="Lower has a collate function of its own"):
        describe_input(Lower(tiny_model("bert")), [])
