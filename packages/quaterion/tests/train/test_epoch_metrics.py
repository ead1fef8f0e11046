"""Metrics of each epoch of a real training: over the whole validation set, and watched by Lightning's callbacks."""

import pytest
import pytorch_lightning as pl
import torch

from quaterion import Quaterion
from quaterion.dataset import (
    GroupSimilarityDataLoader,
    PairsSimilarityDataLoader,
    SimilarityGroupSample,
    SimilarityPairSample,
)
from quaterion.eval import AttachedMetric, Evaluator, GroupSampler, PairSampler, group, pair, scored
from quaterion.loss import CosineSimilarityLoss
from quaterion.train.cache import CacheConfig


class Watch(pl.Callback):
    """Evaluates the model after each validation, and notes what was logged beside it."""

    def __init__(self, evaluator, data):
        self.evaluator, self.data = evaluator, data
        self.expected, self.logged = [], []

    def on_validation_end(self, trainer, module):
        self.expected.append({name: float(v) for name, v in self.evaluator.evaluate(self.data, module).items()})
        self.logged.append({name: float(trainer.callback_metrics[f"{name}_validation"]) for name in self.expected[-1]})


GROUP_METRICS = {
    "precision": group.RetrievalPrecision(3),
    "recall": group.RetrievalRecall(2),
    "r_precision": group.RetrievalRPrecision(),
    "map": group.MeanAveragePrecisionAtR(),
    "mrr": group.RetrievalReciprocalRank(),
    "ndcg": group.NDCG(5),
}
PAIR_METRICS = {
    "precision": pair.RetrievalPrecision(1),
    "r_precision": pair.RetrievalRPrecision(),
    "map": pair.MeanAveragePrecisionAtR(),
    "ndcg": pair.NDCG(5),
    "spearman": scored.SpearmanCorrelation(),
    "pearson": scored.PearsonCorrelation(),
    "average_precision": scored.AveragePrecision(),
    "f1": scored.BestF1(),
    "auc": scored.RocAuc(),
}


def attached(metrics):
    return [AttachedMetric(name, metric, on_epoch=True) for name, metric in metrics.items()]


@pytest.fixture
def matching_pairs():
    """40 pairs of numbers, every other a match; no object twice."""
    points = torch.randn(80, 4, generator=torch.Generator().manual_seed(3))
    points[40:] = torch.where(torch.arange(40).unsqueeze(1) % 2 == 0, points[:40] + 0.8 * points[40:], points[40:])
    objects = [tuple(point) for point in points.tolist()]
    return [SimilarityPairSample(objects[i], objects[i + 40], score=float(i % 2 == 0)) for i in range(40)]


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_metrics_of_groups_are_over_the_whole_validation_set_in_every_epoch(
    caches, model_type, group_data, make_trainer
):
    distinct = group_data[:45]
    watch = Watch(Evaluator(GROUP_METRICS, GroupSampler(log_progress=False)), distinct)
    trainer = make_trainer(max_epochs=3, callbacks=[watch])
    torch.manual_seed(0)
    model = model_type(caches=caches, metrics=attached(GROUP_METRICS))
    loaders = [GroupSimilarityDataLoader(distinct, batch_size=size) for size in (16, 8)]
    Quaterion.fit(model, trainer, *loaders)
    assert len(watch.logged) == 3
    for logged, expected in zip(watch.logged, watch.expected, strict=True):
        assert logged == pytest.approx(expected, abs=1e-6)
    assert watch.logged[0] != watch.logged[-1]  # the model learned meanwhile


@pytest.mark.parametrize("caches", [None, CacheConfig()])
def test_metrics_of_pairs_are_over_the_whole_validation_set_in_every_epoch(
    caches, model_type, matching_pairs, make_trainer
):
    watch = Watch(Evaluator(PAIR_METRICS, PairSampler(log_progress=False)), matching_pairs)
    trainer = make_trainer(max_epochs=3, callbacks=[watch])
    model = model_type(caches=caches, metrics=attached(PAIR_METRICS), loss=CosineSimilarityLoss())
    loaders = [PairsSimilarityDataLoader(matching_pairs, batch_size=size) for size in (16, 7)]
    Quaterion.fit(model, trainer, *loaders)
    assert len(watch.logged) == 3
    for logged, expected in zip(watch.logged, watch.expected, strict=True):
        assert logged == pytest.approx(expected, abs=1e-6)
    assert watch.logged[0] != watch.logged[-1]


@pytest.mark.parametrize("name", ["r_precision", "auc"])
def test_a_checkpoint_keeps_the_epoch_that_was_best_by_the_metric(
    name, model_type, group_data, matching_pairs, make_trainer, tmp_path
):
    of_groups = name == "r_precision"
    metrics, data = ({name: GROUP_METRICS[name]}, group_data[:45]) if of_groups else ({name: PAIR_METRICS[name]}, None)
    data = data or matching_pairs
    sampler = (GroupSampler if of_groups else PairSampler)(log_progress=False)
    loader_type = GroupSimilarityDataLoader if of_groups else PairsSimilarityDataLoader
    watch = Watch(Evaluator(metrics, sampler), data)
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, monitor=f"{name}_validation", mode="max")
    trainer = make_trainer(max_epochs=5, callbacks=[watch, checkpoint], enable_checkpointing=True)
    parts = {} if of_groups else {"loss": CosineSimilarityLoss()}
    model = model_type(caches=CacheConfig(), metrics=attached(metrics), lr=0.3, **parts)
    Quaterion.fit(model, trainer, *(loader_type(data, batch_size=16) for _ in range(2)))
    values = [logged[name] for logged in watch.logged]
    assert float(checkpoint.best_model_score) == max(values)
    assert len(set(values)) > 1
    best = torch.load(checkpoint.best_model_path, weights_only=False)
    assert best["epoch"] == values.index(max(values))
    model.load_state_dict(best["state_dict"])
    assert float(Quaterion.evaluate(watch.evaluator, data, model)[name]) == pytest.approx(max(values), abs=1e-6)


def test_early_stopping_stops_where_the_metric_of_the_whole_set_no_longer_rises(model_type, group_data, make_trainer):
    metrics = {"map": group.MeanAveragePrecisionAtR()}
    watch = Watch(Evaluator(metrics, GroupSampler(log_progress=False)), group_data[:45])
    stopping = pl.callbacks.EarlyStopping("map_validation", mode="max", patience=2)
    trainer = make_trainer(max_epochs=60, callbacks=[watch, stopping])
    model = model_type(caches=CacheConfig(), metrics=attached(metrics), lr=0.05)
    loader = GroupSimilarityDataLoader(group_data[:45], batch_size=16)
    Quaterion.fit(model, trainer, loader, loader)
    values = [round(expected["map"], 6) for expected in watch.expected]
    best = next(i for i in range(len(values)) if i + 2 < len(values) and max(values[i + 1 : i + 3]) <= values[i])
    assert len(values) == best + 3 < 60
    assert float(stopping.best_score) == pytest.approx(values[best], abs=1e-6)


def test_perfect_data_logs_exactly_one(model_type, make_trainer):
    corners = [(1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)]
    data = [SimilarityGroupSample(corners[i % 3], i % 3) for i in range(18)]
    trainer = make_trainer(max_epochs=1)
    model = model_type(caches=CacheConfig(), metrics=attached({"rp": group.RetrievalRPrecision()}), lr=0.0)
    loader = GroupSimilarityDataLoader(data, batch_size=7)
    Quaterion.fit(model, trainer, loader, loader)
    assert float(trainer.callback_metrics["rp_validation"]) == 1.0
