"""The page about trained encoders: its blocks run, one after the other, with the real encoder."""

import re
from pathlib import Path

import numpy as np
import pytest

from quaterion_models import SimilarityModel
from quaterion_models.heads import EmptyHead

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "fine-tuning-encoders.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run(minilm_folder, make_trainer, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    assert minilm_folder
    monkeypatch.chdir(tmp_path)
    names = {"trainer": make_trainer(max_epochs=2), "__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(block, names)  # noqa: S102
    texts = ["sorting", "a file"]
    trained = names["model"].model.encode(texts)
    loaded = SimilarityModel.load("model")
    np.testing.assert_allclose(loaded.encode(texts), trained, atol=1e-6)
    frozen = SimilarityModel(names["frozen"], EmptyHead(384))
    np.testing.assert_allclose(frozen.encode(texts), trained, atol=1e-5)
    adapters = {name: p for name, p in loaded.named_parameters() if "lora_B" in name}
    assert len(adapters) == 36 and all(bool(p.any()) for p in adapters.values())
