"""Compares the embeddings of the exported model with those of the process that trained it."""

import json
from pathlib import Path

import numpy as np

from quaterion_runtime import Model

objects = json.loads(Path("objects.json").read_text())
embeddings = Model.load("exported").encode(np.array(objects["vectors"], dtype=np.float32))
np.testing.assert_allclose(embeddings, objects["embeddings"], atol=1e-4)
print(embeddings.shape)
