"""Scores of pairs."""

import pytest

from quaterion.dataset.files import read_samples
from quaterion.dataset.files.scores import score_of


def scores(*values, **options):
    rows = [{"left": f"a{number}", "right": "b", "score": value} for number, value in enumerate(values)]
    samples = read_samples(rows, **options)
    return [one.score for one in samples], samples.score_range


def test_numbers_words_and_booleans_are_scores():
    assert [score_of(value) for value in ("0.5", " 1 ", 1, True, "False", "yes", "NO")] == [0.5, 1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("value", ["high", "0,5", "nan", "inf", [1]])
def test_what_is_no_finite_number_is_bad_and_names_its_field(value):
    with pytest.raises(ValueError, match=r"a list, item 1, field 'score': .* expected (one|a number) such as 0\.5"):
        scores(1, value)


def test_nothing_as_a_score_is_empty():
    for nothing in (None, "", " ", float("nan")):
        assert scores(1, nothing) == ([1.0], (0.0, 1.0))


@pytest.mark.parametrize(
    ("values", "expected", "found_range"),
    [
        ([0, 0.5, 1], [0, 0.5, 1], (0, 1)),
        ([0.2, 0.4], [0.2, 0.4], (0, 1)),
        ([1, 4.8], [0.2, 0.96], (0, 5)),
        ([3, 0], [1, 0], (0, 3)),
        ([50, 75], [0.5, 0.75], (0, 100)),
    ],
)
def test_scores_are_brought_to_0_to_1(values, expected, found_range):
    assert scores(*values) == (pytest.approx(expected), found_range)


def test_a_given_range_is_the_one_that_counts():
    assert scores(-1, 0, 1, score_range=(-1, 1)) == ([0.0, 0.5, 1.0], (-1.0, 1.0))
    assert scores(0.5, score_range=(0, 5)) == ([0.1], (0.0, 5.0))


def test_scores_that_no_range_fits_are_an_error():
    with pytest.raises(
        ValueError, match=r"'score' of a list go from -1 to 1\. Say which scores mean 0 and 1: score_range"
    ):
        scores(-1, 1)
    with pytest.raises(ValueError, match="go from 5 to 500"):
        scores(5, 500)
    with pytest.raises(ValueError, match=r"beyond score_range=\(0, 1\)"):
        scores(0, 3, score_range=(0, 1))
    with pytest.raises(ValueError, match=r"score_range=\(5, 0\); expected the lowest"):
        scores(0, 3, score_range=(5, 0))
