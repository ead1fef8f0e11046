"""Parts of the data: what their scores depend on, and what stays of their encoders."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from quaterion.dataset import SimilarityGroupSample as Sample
from quaterion.tuning import Part, Recipe
from quaterion.tuning.training.fold import Fold, train_on
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import CallableEncoder

RECIPE = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), epochs=1, group_names=True)


def lengths(texts):
    return torch.tensor([[float(len(text))] for text in texts])


@pytest.fixture
def vectors():
    encoder = CallableEncoder(lengths, embedding_size=1, version="1")
    return SampleVectors({"default": encoder}, cache=None, device=torch.device("cpu"), progress=None)


@pytest.fixture
def fold(vectors):
    train = [Sample("one", "short"), Sample("eleven", "long")]
    return Fold(vectors, train, [Sample("two", "short")], [Sample("short name", "short"), Sample("long name", "long")])


def test_another_text_label_or_name_is_another_digest(fold):
    same = replace(fold, _encoded={})
    others = [
        replace(fold, train=[Sample("six", "short"), fold.train[1]], _encoded={}),
        replace(fold, held_out=[Sample("two", "long")], _encoded={}),
        replace(fold, names=[Sample("brief", "short"), fold.names[1]], _encoded={}),
        replace(fold, names=fold.names[:1], _encoded={}),
        replace(fold, names=[], _encoded={}),
    ]
    assert same.digest() == fold.digest()
    assert len({fold.digest(), *(other.digest() for other in others)}) == 1 + len(others)


def test_names_are_learned_from_where_the_recipe_says_so(fold):
    assert [one.obj for one in train_on(RECIPE, fold).train.samples] == ["one", "eleven", "short name", "long name"]
    assert train_on(replace(RECIPE, group_names=False), fold).train.samples == fold.train


def test_encoders_do_not_stay_with_what_was_trained(fold, vectors):
    other = CallableEncoder(lengths, embedding_size=1, version="2")
    gone = weakref.ref(other)
    encoded = fold.encoded_by(
        SampleVectors({"default": other}, cache=None, device=vectors.device, progress=None), RECIPE
    )
    del other
    gc.collect()
    assert gone() is None
    assert encoded[0].embed(RECIPE.build_head(1))[0].shape == (4, 1)
