"""Settings of the classifier: sure of itself, but not at the cost of being right."""

import pytest
import torch

from quaterion.tuning import Recipe, tune
from quaterion.tuning.result.predictor import default_settings
from quaterion_models.encoders import VectorEncoder

SIZE = 64


def test_calibrating_does_not_cost_accuracy():
    """Many groups of few examples: more neighbours are likelier, and wrong more often."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 100, (3000,), generator=generator)
    centers = torch.randn(100, SIZE, generator=generator)
    vectors = centers[labels] + 1.5 * torch.randn(3000, SIZE, generator=generator)
    rows = [{"text": one, "group": group} for one, group in zip(vectors.numpy(), labels.tolist(), strict=True)]
    result = tune(rows, encoder=VectorEncoder(SIZE), group="group", recipe=Recipe(), test_size=0.5)
    assert result.test.before.value > 0.5
    assert result.test.difference.high >= 0
    usual = result.classifier.replace(**default_settings())
    assert result.test.before.value == pytest.approx(
        sum(
            one.label == sample.group
            for one, sample in zip(
                usual.replace(threshold=None).classify([sample.obj for sample in result.task.data.test]),
                result.task.data.test,
                strict=True,
            )
        )
        / len(result.task.data.test)
    )
