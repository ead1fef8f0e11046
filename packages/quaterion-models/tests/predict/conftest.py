"""A model of given vectors, with class weights where they are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.class_weights import ClassWeights
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import SkipConnectionHead


@pytest.fixture
def vector_model() -> Callable[..., SimilarityModel]:
    """Makes a model that takes vectors of a size and has a head with random weights."""

    def make(size: int = 2, classes: Sequence[Any] = (), cosine: bool = True, seed: int = 0) -> SimilarityModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SimilarityModel(VectorEncoder(size), SkipConnectionHead(size))
            if classes:
                model.class_weights = ClassWeights(classes, torch.randn(len(classes), size), cosine=cosine)
        return model.eval()

    return make
