import pytest
import torch
from scipy import stats

from quaterion.eval.comparison import compare
from quaterion.eval.evaluation import Evaluation, PairAgreement
from quaterion.functional.bootstrap import bootstrap_mean
from quaterion.functional.correlation import spearman_correlation


def test_intervals_are_those_of_the_scores_that_count():
    scores = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores[3] = torch.nan
    evaluation = Evaluation({}, {"p": scores}, torch.arange(40), num_queries=40, num_left_out=1)
    assert evaluation.intervals() == {"p": bootstrap_mean(scores[~scores.isnan()])}
    narrow = evaluation.intervals(confidence=0.5, resamples=300, seed=9)["p"]
    assert narrow == bootstrap_mean(scores, confidence=0.5, resamples=300, seed=9)


def test_scores_from_elsewhere_are_compared_like_those_of_models():
    before = torch.tensor([0.0, 0.5, torch.nan, 0.25] * 4)
    evaluation = Evaluation.from_scores({"p": before, "mrr": before / 2})
    assert {name: value.item() for name, value in evaluation.values.items()} == {"p": 0.25, "mrr": 0.125}
    assert (evaluation.num_queries, evaluation.num_left_out) == (16, 4)
    assert evaluation.intervals()["p"] == bootstrap_mean(before)
    row = compare(Evaluation.from_scores({"p": before}), Evaluation.from_scores({"p": before + 0.5})).rows[0]
    assert (row.difference.value, row.won, row.lost, row.verdict) == (0.5, 12, 0, "better")


@pytest.mark.parametrize(
    "scores", [{}, {"p": torch.ones(3), "mrr": torch.ones(4)}, {"p": torch.tensor(1.0)}, {"p": torch.ones(3, 2)}]
)
def test_scores_that_are_not_one_for_each_query_are_refused(scores):
    with pytest.raises(ValueError, match=r"The scores have the shapes \{.*\}; expected at least one metric"):
        Evaluation.from_scores(scores)


def grouped():
    scores = torch.tensor([1.0, 0.0, 0.5, torch.nan, 1.0, torch.nan], dtype=torch.float64)
    ranks = torch.tensor([1.0, 0.25, 0.5, torch.nan, 0.0, torch.nan], dtype=torch.float64)
    groups = ["x", "y", "x", "y", "y", ("z", 1)]
    return Evaluation({}, {"p": scores, "mrr": ranks}, torch.arange(6), num_queries=6, num_left_out=2, groups=groups)


def test_groups_break_the_scores_down_and_count_what_they_leave_out():
    parts = grouped().by_group()
    assert list(parts) == ["x", "y", ("z", 1)]
    assert {name: value.item() for name, value in parts["x"].values.items()} == {"p": 0.75, "mrr": 0.75}
    assert {name: value.item() for name, value in parts["y"].values.items()} == {"p": 0.5, "mrr": 0.125}
    assert parts["z", 1].values["p"].isnan()
    assert [part.num_queries for part in parts.values()] == [2, 3, 1]
    assert [part.num_left_out for part in parts.values()] == [0, 1, 1]
    assert [part.queries.tolist() for part in parts.values()] == [[0, 2], [1, 3, 4], [5]]
    assert parts["y"].intervals()["p"] == bootstrap_mean(torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="at least one query with something relevant"):
        parts["z", 1].intervals()


def test_groups_may_be_given_and_are_those_of_the_whole_set():
    scores = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    drawn = Evaluation({}, {"p": scores}, torch.tensor([1, 4, 5]), num_queries=6, num_left_out=0, groups=list("aaaaaa"))
    for languages in (["en", "de", "en", "en", "de", "en"], torch.tensor([0, 1, 0, 0, 1, 0])):
        one, other = drawn.by_group(languages).values()
        assert (one.queries.tolist(), other.queries.tolist()) == ([1, 4], [5])
        assert (one.values["p"].item(), other.values["p"].item()) == (0.5, 0.5)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got 3 groups for 6 queries; expected one for each query of the whole set"):
        grouped().by_group(["a", "b", "c"])
    without = Evaluation({}, {"p": torch.ones(2)}, torch.arange(2), num_queries=2, num_left_out=0)
    with pytest.raises(ValueError, match=r"has no groups. Pass the group of each query: by_group\(\[...\]\), 2 of"):
        without.by_group()


def test_a_metric_of_scored_pairs_is_computed_over_each_sample_of_pairs():
    generator = torch.Generator().manual_seed(0)
    similarities = torch.rand(60, generator=generator)
    scores = similarities + 0.3 * torch.rand(60, generator=generator)
    agreement = PairAgreement(torch.tensor(0.0), similarities, scores, spearman_correlation)
    evaluation = Evaluation(
        {"s": agreement.value}, {}, torch.arange(120), num_queries=120, num_left_out=0, agreements={"s": agreement}
    )
    interval = evaluation.intervals(confidence=0.9, resamples=300, seed=1)["s"]
    draws = torch.Generator().manual_seed(1)
    drawn = [torch.randint(60, (60,), generator=draws) for _ in range(300)]
    values = sorted(stats.spearmanr(similarities[rows], scores[rows]).statistic for rows in drawn)
    assert interval.value == pytest.approx(stats.spearmanr(similarities, scores).statistic, abs=1e-12)
    assert values[14] <= interval.low <= values[15]  # 5 % of 300
    assert values[284] <= interval.high <= values[285]
