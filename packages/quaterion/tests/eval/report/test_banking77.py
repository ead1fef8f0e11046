"""Real questions to a bank, before and after a head was tuned: every figure of the page is computed once more."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, SimilarityGroupSample
from quaterion.eval.report import Report
from quaterion.loss import SupConLoss
from quaterion.train.cache import CacheConfig
from quaterion.train.trainable_model import TrainableModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.heads import SkipConnectionHead

MODELS = ("before", "after")

pytestmark = pytest.mark.slow


def read(folder, split, per_group):
    """The first questions of every intent."""
    taken = {}
    with (folder / "banking77" / f"{split}.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            taken.setdefault(row["category"], []).append(row["text"])
    return [SimilarityGroupSample(text, group) for group, texts in taken.items() for text in texts[:per_group]]


class Intents(TrainableModel):
    def __init__(self, folder, cache):
        self.folder, self.cache = folder, cache
        super().__init__()

    def configure_encoders(self):
        return SentenceTransformerEncoder(self.folder)

    def configure_head(self, input_embedding_size):
        return SkipConnectionHead(input_embedding_size)

    def configure_loss(self):
        return SupConLoss()

    def configure_caches(self):
        return CacheConfig(save_dir=self.cache, batch_size=64)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.model.parameters(), lr=3e-3)


@pytest.fixture(scope="module")
def case(minilm_folder, datasets_folder, table_model, read_page, independent, tmp_path_factory):
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import CSVLogger

    samples = read(datasets_folder, "test", per_group=15)
    folder = tmp_path_factory.mktemp("banking77")
    torch.manual_seed(0)
    model = Intents(minilm_folder, folder / "cache")
    logger = CSVLogger(folder, name="log")
    trainer = pl.Trainer(
        max_epochs=12, accelerator="cpu", devices=1, logger=logger, log_every_n_steps=1, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    training = read(datasets_folder, "train", per_group=8)
    Quaterion.fit(model, trainer, GroupSimilarityDataLoader(training, batch_size=308, shuffle=True))
    texts = [sample.obj for sample in samples]
    encoder = model.model.encoders["default"]
    before = torch.cat([encoder(encoder.get_collate_fn()(texts[i : i + 64])) for i in range(0, len(texts), 64)])
    with torch.no_grad():
        after = model.model.eval().required_head()(before)
    vectors = {"before": before, "after": after}
    tables = {name: table_model(dict(zip(texts, vectors[name], strict=True))) for name in MODELS}
    path = folder / "report.html"
    Report(
        tables["after"], samples, before=tables["before"], training_log=folder / "log", title="BANKING77",
        projection="pca", log_progress=False,
    ).save(path)  # fmt: skip
    groups = [sample.group for sample in samples]
    return {
        "path": path,
        "texts": texts,
        "groups": groups,
        "vectors": {name: one.double().numpy() for name, one in vectors.items()},
        "figures": read_page(path.read_text(encoding="utf-8")).figures,
        "search": {name: independent.Search.of_groups(one.numpy(), groups) for name, one in vectors.items()},
        "checks": independent,
    }


@pytest.fixture(scope="module")
def checks():
    """The comparisons of `test_figures.py`."""
    import importlib.util

    place = Path(__file__).with_name("test_figures.py")
    specification = importlib.util.spec_from_file_location("report_figure_checks", place)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_comparison_and_the_head_is_better(case, checks, independent):
    assert len(checks.check_comparison(case["figures"], case["search"], independent)) == 6
    rows = {row["name"]: row for row in case["figures"]["comparison"]["rows"]}
    assert rows["MAP@R"]["verdict"] == "better"


def test_the_histograms(case):
    for name in MODELS:
        found, expected = case["figures"]["histograms"][name], case["search"][name].histogram()
        for kind in ("matching", "other"):
            # A similarity that lies on an edge to the last bit may fall to either side.
            assert np.abs(np.cumsum(found[kind]) - np.cumsum(expected[kind])).max() <= 2
            assert found[f"{kind}_mean"] == pytest.approx(expected[f"{kind}_mean"], abs=1e-8)


def test_the_recall_curve(case, independent):
    curve = case["figures"]["recall"]
    assert curve["k"] == [1, 2, 3, 5, 10, 20, 50, 100]
    for name in MODELS:
        for k, value in zip(curve["k"], curve[name], strict=True):
            low, high = case["search"][name].bounds(independent.recall(k))
            assert low - 1e-9 <= value <= high + 1e-9
            assert high - low < 0.005


def test_the_map(case, checks, independent):
    shown = case["figures"]["map"]
    assert [shown["groups"][group] for group in shown["group"]] == case["groups"]
    assert shown["row"] == list(range(len(case["texts"])))
    for name in MODELS:
        checks.check_map(shown[name], *independent.pca(case["vectors"][name]))


def test_the_worst_queries(case, checks):
    checks.check_worst(case["figures"], case["search"], range(len(case["texts"])), [t[:300] for t in case["texts"]])


def test_the_suspected_label_errors(case, checks, independent):
    assert len(checks.check_label_errors(case["figures"], case["search"], case["groups"], independent)) == 30


def test_the_reliability(case, checks, independent):
    found = case["figures"]["reliability"]
    assert (found["objects"], found["left_out"]) == (len(case["texts"]), 0)
    for name in MODELS:
        kinds = found["kinds"]["neighbours"]
        checks.check_neighbours(kinds[name], case["search"][name], case["groups"], independent, strays=4)
    assert kinds["after"]["accuracy_of_all"] > kinds["before"]["accuracy_of_all"]


def test_the_training_curve_is_what_the_logger_wrote(case):
    with next(case["path"].parent.glob("log/*/metrics.csv")).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train_loss"]]
    curve = case["figures"]["training"]["curves"]["train_loss"]
    assert curve["y"] == [float(row["train_loss"]) for row in rows]
    assert curve["x"] == [int(row["step"]) for row in rows]
    assert curve["y"][-1] < curve["y"][0]


def test_the_page_is_small_and_opens_without_a_word(case, browser_module, tmp_path):
    assert case["path"].stat().st_size < 2_000_000
    executable = browser_module.find_chromium()
    if executable is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with browser_module.Browser(executable, tmp_path / "profile") as browser:
        browser.show(case["path"], width=360, dark=True)
        assert browser.complaints() == []
        assert browser.requests() == [case["path"].resolve().as_uri()]
