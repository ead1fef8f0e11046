"""The card says what the model was trained on and how much better it became."""

from pathlib import Path

from quaterion.demo.corpus import Split
from quaterion.demo.model_card import demo_card
from quaterion.functional.bootstrap import Interval


def test_the_card_holds_sizes_scores_and_how_to_load_the_model() -> None:
    split = Split(train=list(range(1200)), validation=[1, 2], test=[3, 4, 5])
    card = demo_card(
        Path("out") / "model", 1205, split, {"mrr": Interval(0.5, 0.4, 0.6)}, {"mrr": Interval(0.75, 0.7, 0.8)}
    )
    assert "1,200 pairs to learn from, 2 to choose the best epoch, 3 to test" in card
    assert "| mrr | 0.500 (0.400 to 0.600) | 0.750 (0.700 to 0.800) |" in card
    assert 'SimilarityModel.load("out/model")' in card
