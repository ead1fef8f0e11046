"""What golden model folders name or need of a program: its classes, its functions, and its objects."""

import numpy as np
import torch
from torch import nn

from quaterion_models.encoders import Encoder, SwitchEncoder
from quaterion_models.heads import EncoderHead


class Words(Encoder):
    """Text to its length, its vowels and a constant, through a linear layer."""

    trainable = False

    def __init__(self, size=4, *, note=None):
        super().__init__()
        self.layer = nn.Linear(3, size)
        self.note = note

    @property
    def embedding_size(self):
        return self.layer.out_features

    def get_collate_fn(self):
        return count_letters

    def forward(self, batch):
        return torch.tanh(self.layer(batch.to(self.layer.weight)))


def count_letters(texts):
    return torch.tensor([[len(text) / 8, sum(text.count(vowel) for vowel in "aeiou") / 4, 1.0] for text in texts])


class ByCase(SwitchEncoder):
    """Upper-case texts to one encoder, others to another."""

    @classmethod
    def encoder_selection(cls, record):
        return "upper" if record.isupper() else "lower"


class Scaling(EncoderHead):
    """Multiplies by a number for each component."""

    def __init__(self, input_embedding_size, factor=1.0, shape=(1,)):
        super().__init__(input_embedding_size)
        self.scale = nn.Parameter(torch.full((input_embedding_size,), factor))
        self.register_buffer("count", torch.tensor(3))
        self.shape = shape

    @property
    def output_size(self):
        return self.input_embedding_size

    def transform(self, input_vectors):
        return input_vectors * self.scale


CLASSES = [Words, ByCase, Scaling]


def letters(texts):
    return [[len(text), text.count("a"), 1.0] for text in texts]


def given(callable_encoder):
    """Encoders that a program passes in because they cannot be saved, by the folder's name."""
    return {"callable_encoder": callable_encoder(letters, 3, version="2", name="letters")}


def as_objects(inputs):
    """Turns the inputs in expected.json into objects: what is a list is the pixels of an image."""
    return [np.array(one, dtype=np.uint8) if isinstance(one, list) else one for one in inputs]
