"""The whole path with the real MiniLM: cached as uncached, and a second run that encodes nothing."""

import subprocess
import sys
import textwrap

import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion.train.cache import CacheConfig
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead, SwitchHead

WORDS = [
    "sort a list",
    "open a file",
    "parse some JSON text",
    "join two paths",
    "wait for a thread to end",
    "copy a tree",
]
NAMES = ["sorted", "open", "json.loads", "os.path.join", "threading.Thread.join", "shutil.copytree"]


def two_sided(size):
    return SwitchHead({"query": SkipConnectionHead(size), "document": SkipConnectionHead(size)}, size)


@pytest.mark.slow
def test_training_on_text_is_the_same_with_and_without_the_cache(model_type, make_trainer, minilm_folder, tmp_path):
    data = [SimilarityPairSample(a, b) for a, b in zip(WORDS, NAMES, strict=True)]
    runs = []
    for caches in (None, CacheConfig(save_dir=tmp_path / "cache")):
        torch.manual_seed(0)
        model = model_type(
            encoders=SentenceTransformerEncoder(minilm_folder),
            head=two_sided,
            loss=MultipleNegativesRankingLoss(),
            caches=caches,
        )
        torch.manual_seed(1)
        Quaterion.fit(model, make_trainer(max_epochs=3), PairsSimilarityDataLoader(data, batch_size=4, shuffle=True))
        runs.append([value for _, value in model.steps])
    assert runs[1] == pytest.approx(runs[0], rel=1e-5)

    model.save_servable(tmp_path / "model")
    loaded = SimilarityModel.load(tmp_path / "model")
    assert loaded.two_sided
    for encode in ("encode_query", "encode_document"):
        before, after = (torch.from_numpy(getattr(m, encode)(WORDS)) for m in (model.model, loaded))
        assert torch.allclose(before, after, atol=1e-6)
    assert not torch.allclose(
        *(torch.from_numpy(getattr(loaded, e)(WORDS)) for e in ("encode_query", "encode_document"))
    )


@pytest.mark.slow
def test_a_second_process_trains_from_the_filled_cache_without_loading_the_weights(minilm_folder, tmp_path):
    code = textwrap.dedent("""
        import sys
        from quaterion.dataset import PairsSimilarityDataLoader, SimilarityPairSample
        from quaterion.loss import MultipleNegativesRankingLoss
        from quaterion.train import TrainableModel, prepare_batches
        from quaterion.train.cache import CacheConfig
        from quaterion_models.encoders import SentenceTransformerEncoder
        from quaterion_models.heads import SkipConnectionHead

        class Model(TrainableModel):
            def configure_encoders(self): return SentenceTransformerEncoder(sys.argv[1])
            def configure_head(self, size): return SkipConnectionHead(size)
            def configure_loss(self): return MultipleNegativesRankingLoss()
            def configure_caches(self): return CacheConfig(save_dir=sys.argv[2])

        data = [SimilarityPairSample(f"question {i}", f"answer {i}") for i in range(8)]
        (batch,) = prepare_batches(Model(), PairsSimilarityDataLoader(data, batch_size=8))
        loaded = "sentence_transformers" in sys.modules
        print(loaded, batch.features.cached["default"].double().sum().item())
    """)
    command = [sys.executable, "-c", code, str(minilm_folder), str(tmp_path)]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)
    )
    assert first[0] == "True" and second[0] == "False"
    assert first[1] == second[1]
