"""The card says what the model was trained on and how much better it became."""

from quaterion.demo.corpus import Split
from quaterion.demo.model_card import demo_card
from quaterion.functional.bootstrap import Interval


def test_the_card_holds_sizes_and_scores() -> None:
    split = Split(train=list(range(1200)), validation=[1, 2], test=[3, 4, 5])
    card = demo_card(1205, split, {"mrr": Interval(0.5, 0.4, 0.6)}, {"mrr": Interval(0.75, 0.7, 0.8)})
    assert {one.use: one.size for one in card.data} == {"training": 1200, "choosing the best epoch": 2, "test": 3}
    (mrr,) = card.metrics
    assert (mrr.name, mrr.before, mrr.before_interval) == ("mrr", 0.5, (0.4, 0.6))
    assert (mrr.value, mrr.interval) == (0.75, (0.7, 0.8))
    assert "the 3 test descriptions among all 1,205 entries" in card.metrics_note
