from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from quaterion.batch import PairTargets
from quaterion.loss import CosineSimilarityLoss
from quaterion.testing import check_loss
from quaterion.testing.plain_losses import plain_cosine_similarity


def test_battery() -> None:
    check_loss(CosineSimilarityLoss(), reference=plain_cosine_similarity, minimum=0.0)


@pytest.mark.slow
def test_it_equals_sentence_transformers(
    columns: Callable[..., list[dict[str, Tensor]]], columns_model: nn.Module
) -> None:
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss as TheirLoss

    rows, scores = torch.randn(12, 5), torch.rand(6)
    theirs = TheirLoss(columns_model)(columns(rows[:6], rows[6:]), scores)
    ours = CosineSimilarityLoss()(rows, torch.arange(12).reshape(2, 6).T, scores, torch.tensor([]))
    assert torch.allclose(ours, theirs)


def test_scores_that_no_cosine_reaches_are_found_when_fit_starts() -> None:
    targets = PairTargets(
        torch.tensor([[0, 1]]),
        torch.tensor([4.5]),
        torch.zeros(2).long(),
        torch.arange(2),
        torch.zeros(0, 2).long(),
    )
    with pytest.raises(ValueError, match=r"needs scores in \[-1, 1\], .* the first 4.5: rescale them"):
        CosineSimilarityLoss().check_targets(targets)
