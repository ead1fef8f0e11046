"""Objects that are made up to compare an exported model on."""

import numpy as np

from quaterion_models import SimilarityModel
from quaterion_models.encoders import FieldEncoder, VectorEncoder
from quaterion_models.encoders.transformers_encoder import TransformersEncoder
from quaterion_models.export.check_objects import objects_for
from quaterion_models.export.graphs import plan_graphs
from quaterion_models.heads import EmptyHead


def made(encoders, given=()):
    model = SimilarityModel(encoders, EmptyHead(SimilarityModel.get_encoders_output_size(encoders)))
    return objects_for(model, plan_graphs(model, list(given)), list(given))


def test_texts_go_from_nothing_to_more_than_the_model_takes(tiny_model):
    encoder = TransformersEncoder(tiny_model("bert"))
    texts = made(encoder, ["word1"])
    lengths = [len(text.split()) for text in texts]
    assert texts[0] == "word1"  # the given ones come first
    assert min(lengths) == 0 and max(lengths) > 40
    batch = encoder.get_collate_fn()(texts)
    assert batch["input_ids"].shape[1] == 40


def test_records_have_a_value_for_every_field(tiny_model):
    text, vector = TransformersEncoder(tiny_model("bert")), VectorEncoder(3)
    records = made({"a": FieldEncoder("title", text), "b": FieldEncoder("price", vector)})
    assert all(isinstance(one["title"], str) and np.shape(one["price"]) == (3,) for one in records)
    tuples = made({"a": FieldEncoder(1, text), "b": FieldEncoder(0, vector)})
    assert all(isinstance(one[1], str) and np.shape(one[0]) == (3,) for one in tuples)


def test_records_of_keys_and_places_cannot_be_made_up(tiny_model):
    encoders = {"a": FieldEncoder(0, VectorEncoder(2)), "b": FieldEncoder("price", VectorEncoder(3))}
    given = [("given", 1)]
    model = SimilarityModel(encoders, EmptyHead(5))
    plans = plan_graphs(model, [])
    assert objects_for(model, plans, given) == given
