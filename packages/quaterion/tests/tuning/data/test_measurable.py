"""Whether a metric has a value."""

import pytest

from quaterion.dataset import SimilarityGroupSample as Sample
from quaterion.dataset import SimilarityPairSample as Pair
from quaterion.tuning.data.measurable import can_be_measured


@pytest.mark.parametrize(
    ("samples", "form", "unseen", "possible"),
    [
        ([], "pairs", False, False),
        ([Pair("a", "b")], "pairs", False, True),
        ([Pair("a", "b", 1.0), Pair("c", "d", 1.0)], "scored pairs", False, False),
        ([Pair("a", "b", 1.0), Pair("c", "d", 0.0)], "scored pairs", False, True),
        ([Sample("a", 1), Sample("b", 2)], "groups", False, True),
        ([Sample("a", 1), Sample("b", 2)], "groups", True, False),
        ([Sample("a", 1), Sample("a", 1)], "groups", True, False),
        ([Sample("a", 1), Sample("b", 1)], "groups", True, True),
    ],
)
def test_there_must_be_something_right_to_be_found(samples, form, unseen, possible):
    assert can_be_measured(samples, form, unseen) == possible
