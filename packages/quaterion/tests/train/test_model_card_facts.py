"""What the model card of a trained model tells."""

import pytest
import pytorch_lightning as pl
import torch

from quaterion import Quaterion
from quaterion.dataset import GroupSimilarityDataLoader, PairsSimilarityDataLoader
from quaterion.eval import Evaluation, compare
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.group import RetrievalRPrecision
from quaterion.loss import MultipleNegativesRankingLoss, TripletLoss
from quaterion_models import SimilarityModel
from quaterion_models.saving.model_card import CardData, ModelCard

hub = pytest.importorskip("huggingface_hub", reason="reads cards as the hub does")


def trained(model, loader, validation=None):
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    Quaterion.fit(model, trainer, loader, validation)
    return model


def card(model, tmp_path, **options):
    model.save_servable(tmp_path / "model", **options)
    SimilarityModel.load(tmp_path / "model")
    return (tmp_path / "model" / "README.md").read_text()


def test_loss_data_training_and_logged_metrics_are_told(model_type, group_data, tmp_path):
    metric = AttachedMetric("rrp", RetrievalRPrecision(), on_epoch=True)
    model = model_type(loss=TripletLoss(margin=0.3), metrics=[metric], lr=0.02)
    loader = GroupSimilarityDataLoader(group_data, batch_size=10)
    text = card(trained(model, loader, GroupSimilarityDataLoader(group_data[:20], batch_size=20)), tmp_path)
    assert "| list | training | 50 | objects with groups |" in text
    assert "| loss | TripletLoss |" in text
    assert "| loss: margin | 0.3 |" in text
    assert (
        "| epochs | 2 |\n| steps | 10 |\n| batch size | 10 |\n| optimizer | AdamW, lr 0.02, weight\\_decay 0.01 |"
        in text
    )
    logged = model.trainer.callback_metrics
    assert f"| last training loss | {float(logged['train_loss']):.4g} |" in text
    assert f"| rrp | validation data |  | {float(logged['rrp_validation']):.4g} |" in text
    assert f"| loss | validation data |  | {float(logged['validation_loss']):.4g} |" in text
    found = {result.metric_name: result.metric_value for result in hub.ModelCard(text).data.eval_results}
    assert found == {"rrp": float(logged["rrp_validation"]), "loss": float(logged["validation_loss"])}


def test_pairs_are_called_pairs_and_a_data_set_by_its_name(model_type, pair_data, tmp_path):
    class Named(list):
        name = "quora | pairs"

    model = model_type(loss=MultipleNegativesRankingLoss())
    text = card(trained(model, PairsSimilarityDataLoader(Named(pair_data), batch_size=20)), tmp_path)
    assert "| quora \\| pairs | training | 40 | pairs |" in text


def test_before_training_only_the_loss_is_told(model_type, tmp_path):
    text = card(model_type(), tmp_path)
    assert "| loss | TripletLoss |" in text
    assert "## Data" not in text
    assert "## Metrics" not in text
    assert "epochs" not in text


def evaluation(*scores):
    values = torch.tensor(scores, dtype=torch.float64)
    return Evaluation({"mrr": values.mean()}, {"mrr": values}, torch.arange(8), 8, num_left_out=0)


def test_a_comparison_gives_metrics_before_and_after_with_their_intervals(model_type, tmp_path):
    comparison = compare(evaluation(0, 0, 0, 0, 0, 0, 0, 1), evaluation(1, 1, 1, 0.5, 1, 1, 1, 1))
    text = card(model_type(), tmp_path, comparison=comparison)
    before, after = comparison.rows[0].before, comparison.rows[0].after
    assert before.low < 0.125 < before.high
    cells = [f"{one.value:.4g} ({one.low:.4g} to {one.high:.4g})" for one in (before, after)]
    assert f"| mrr | evaluation data | {cells[0]} | {cells[1]} |" in text
    assert "95 % bootstrap intervals" in text
    assert "Better by mrr." in text
    (result,) = hub.ModelCard(text).data.eval_results
    assert (result.metric_name, result.metric_value) == ("mrr", after.value)


def test_what_the_program_says_goes_first(model_type, group_data, tmp_path):
    own = ModelCard(
        title="Mine",
        license="mit",
        data=[CardData(name="secret", size=None)],
        loss="a loss",
        training={"epochs": "few"},
    )
    model = trained(model_type(), GroupSimilarityDataLoader(group_data, batch_size=10))
    text = card(model, tmp_path, card=own)
    assert "# Mine" in text
    assert "| secret | training |  |  |" in text
    assert "| loss | a loss |" in text
    assert "| epochs | few |" in text
    assert "objects with groups" not in text


def test_every_optimizer_is_told(model_type, pair_data, tmp_path):
    model = model_type(loss=MultipleNegativesRankingLoss(), lr=0.02)
    trained(model, PairsSimilarityDataLoader(pair_data, batch_size=20))
    model.trainer.optimizers = [*model.trainer.optimizers, torch.optim.SGD(model.parameters(), lr=0.5)]
    assert "| optimizer | AdamW, lr 0.02, weight\\_decay 0.01; SGD, lr 0.5, weight\\_decay 0 |" in card(model, tmp_path)
