import pytest
import torch

from quaterion.eval.confidence import knn_confidence
from quaterion.eval.inspection import near_duplicates, overlapping_groups, suspected_label_errors

GROUPS = torch.arange(30) % 3
SEARCHES = {
    "suspected_label_errors": lambda points, **options: suspected_label_errors(points, GROUPS, 2, **options),
    "overlapping_groups": lambda points, **options: overlapping_groups(points, GROUPS, k=2, **options),
    "near_duplicates": lambda points, **options: near_duplicates(points, points, **options),
    "knn_confidence": lambda points, **options: knn_confidence(points, GROUPS, 2, **options),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_shows_a_progress_bar_on_standard_error_on_request(name, capsys):
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    SEARCHES[name](points)
    assert capsys.readouterr() == ("", "")
    SEARCHES[name](points, log_progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "Searching" in err and "30/30" in err
