import copy

import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, SentenceTransformerEncoder, TransformersEncoder
from quaterion_models.heads import EmptyHead

pytest.importorskip("transformers")

KINDS = ["bert", "roberta", "mpnet", "electra", "modernbert", "distilbert", "deberta-v2", "gpt2", "llama", "qwen3"]
TEXTS = ["word1 word2 word3", "word4", "word5 word6 word7 word8 word9 word10 word11", "word1 word9 word9"]
LAYERS = {"num_hidden_layers": 3, "n_layers": 3, "n_layer": 3}


def deep(tiny_model, kind):
    """A model of three layers, so that there is a layer between the embeddings and those that are trained."""
    name = {"distilbert": "n_layers", "gpt2": "n_layer"}.get(kind, "num_hidden_layers")
    return tiny_model(kind, {name: 3, "layer_types": None} if kind == "modernbert" else {name: 3})


def gradients(encoder, inputs):
    encoder.zero_grad()
    weights = torch.arange(float(len(TEXTS) * encoder.embedding_size)).sin().view(len(TEXTS), -1)
    (encoder(inputs) * weights).sum().backward()
    return {name: one.grad.clone() for name, one in encoder.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_from_states_are_those_of_the_whole_model(tiny_model, kind, layers):
    encoder = TransformersEncoder(deep(tiny_model, kind), trainable_layers=layers)
    batch = encoder.get_collate_fn()(TEXTS)
    states = encoder.get_trunk()(batch)
    assert not states.values.requires_grad
    assert states.values.shape == (int(states.counts.sum()), encoder.get_trunk().width)
    expected = gradients(encoder, batch)
    got = gradients(encoder, states.padded())
    assert got.keys() == expected.keys() == dict(encoder.named_parameters()).keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(encoder(states.padded()), encoder(batch), atol=1e-5, rtol=1e-5)
