"""Compares the embeddings of the saved model with those of the process that trained it."""

import json
from pathlib import Path

import numpy as np

from quaterion_models import SimilarityModel

objects = json.loads(Path("objects.json").read_text())
embeddings = SimilarityModel.load("model").encode(objects["vectors"])
np.testing.assert_allclose(embeddings, objects["embeddings"], atol=1e-6)
print(embeddings.shape)
