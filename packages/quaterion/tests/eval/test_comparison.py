import io
import json

import pytest
import torch
from rich.console import Console

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import Evaluation, Evaluator, GroupSampler, PairSampler, group, pair, scored
from quaterion.eval.comparison import Comparison, MetricComparison, compare
from quaterion.functional.bootstrap import Interval, bootstrap_mean


def evaluation(queries=None, num_queries=None, left_out=0, data=None, **scores):
    scores = {name: torch.as_tensor(values, dtype=torch.float64) for name, values in scores.items()}
    count = len(next(iter(scores.values())))
    values = {name: numbers.nanmean().float() for name, numbers in scores.items()}
    queries = torch.arange(count) if queries is None else torch.tensor(queries)
    return Evaluation(values, scores, queries, num_queries or count, left_out, data=data)


def random_scores(count, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, dtype=torch.float64, generator=generator) + shift).clamp(0, 1)


def test_the_difference_is_that_of_the_paired_scores():
    before, noise = random_scores(80, 0), random_scores(80, 1)
    after = (before + 0.1 * (noise - 0.2)).clamp(0, 1)
    before[5] = after[5] = torch.nan
    comparison = compare(evaluation(mrr=before, left_out=1), evaluation(mrr=after, left_out=1), resamples=500, seed=3)
    (row,) = comparison.rows
    assert row.name == "mrr"
    assert row.before == bootstrap_mean(before, resamples=500, seed=3)
    assert row.after == bootstrap_mean(after, resamples=500, seed=3)
    assert row.difference == bootstrap_mean(after - before, resamples=500, seed=3)
    # What is hard for both models blurs each value, and not their difference.
    assert row.difference.high - row.difference.low < 0.3 * (row.before.high - row.before.low)
    pairs = [(b, a) for b, a in zip(before.tolist(), after.tolist(), strict=True) if b == b]
    assert row.won == sum(a > b for b, a in pairs)
    assert row.lost == sum(a < b for b, a in pairs)
    assert row.tied == sum(a == b for b, a in pairs)
    assert (comparison.num_queries, comparison.num_left_out) == (79, 1)


def test_a_model_that_is_better_worse_or_neither_is_called_so():
    before = random_scores(100, 0) * 0.5
    after = {"up": before + 0.1, "down": before - 0.1, "chance": before + 0.2 * (random_scores(100, 1) - 0.5)}
    comparison = compare(evaluation(**dict.fromkeys(after, before)), evaluation(**after))
    assert [row.verdict for row in comparison.rows] == ["better", "worse", "no difference shown"]
    assert comparison.summary == "Mixed: better by up, but worse by down."


@pytest.mark.parametrize(
    ("verdicts", "summary"),
    [
        (["better", "better"], "Better by a, b."),
        (["better", "no difference shown"], "Better by a; no difference shown by b."),
        (["worse", "no difference shown"], "Not better: worse by a."),
        (["no difference shown"] * 2, "Not better: no metric shows a difference between before and after."),
        (["worse", "better"], "Mixed: better by b, but worse by a."),
    ],
)
def test_the_summary_says_in_words_what_is_shown(verdicts, summary):
    zero = Interval(0.0, 0.0, 0.0)
    rows = [MetricComparison(name, zero, zero, zero, 0, 0, 0, v) for name, v in zip("ab", verdicts, strict=True)]
    comparison = Comparison(tuple(rows))
    assert comparison.summary == summary
    assert summary in str(comparison)
    assert comparison.to_dict()["summary"] == summary


@pytest.mark.parametrize(("confidence", "needed"), [(0.95, 6), (0.5, 2), (0.99, 8)])
def test_so_few_queries_that_chance_could_win_them_all_show_nothing(confidence, needed):
    # A coin falls n times on one side, whichever, with probability 2 · 2⁻ⁿ: n = 6 is the first below 5 %.
    for count, verdict in ((needed - 1, "no difference shown"), (needed, "better")):
        before, after = torch.zeros(count), torch.ones(count)
        (row,) = compare(evaluation(p=before), evaluation(p=after), confidence=confidence).rows
        assert row.difference.low > 0
        assert row.verdict == verdict
        (row,) = compare(evaluation(p=after), evaluation(p=before), confidence=confidence).rows
        assert row.verdict == verdict.replace("better", "worse")


@pytest.mark.parametrize("count", [8, 40])
def test_models_that_differ_by_chance_are_told_apart_no_more_often_than_the_confidence_allows(count):
    generator = torch.Generator().manual_seed(count)
    told_apart = {"better": 0, "worse": 0, "no difference shown": 0}
    for trial in range(600):
        gains = torch.randn(count, dtype=torch.float64, generator=generator)
        (row,) = compare(evaluation(p=torch.zeros(count)), evaluation(p=gains), resamples=200, seed=trial).rows
        told_apart[row.verdict] += 1
    # Binomial(600, 0.05) is at most 44 but for one case in a hundred; with intervals as they are shown it is about 70
    # of 8 queries.
    assert told_apart["better"] + told_apart["worse"] <= 44
    assert min(told_apart.values()) > 0


def test_a_verdict_needs_more_of_few_queries_than_an_interval_on_one_side_of_zero():
    # Their mean is 1.87 standard errors: below 2.45, the quantile of Student's t, and above 1.96 · √(6/7) = 1.81, where
    # a percentile interval of seven values ends.
    gains = [-1.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5]
    (row,) = compare(evaluation(p=torch.zeros(7)), evaluation(p=gains)).rows
    assert row.difference.low > 0
    assert row.verdict == "no difference shown"
    (row,) = compare(evaluation(p=torch.zeros(70)), evaluation(p=10 * gains)).rows
    assert row.verdict == "better"


@pytest.mark.parametrize("confidence", [0.01, 1 - 1e-9])
def test_every_confidence_has_a_verdict(confidence):
    gains = torch.linspace(0.5, 1.0, 40)
    (row,) = compare(evaluation(p=torch.zeros(40)), evaluation(p=gains), confidence=confidence).rows
    assert row.verdict == "better"


def test_equal_models_tie_on_every_query():
    scores = random_scores(50, 4)
    (row,) = compare(evaluation(p=scores), evaluation(p=scores.clone())).rows
    assert (row.won, row.lost, row.tied) == (0, 0, 50)
    assert row.difference == (0.0, 0.0, 0.0)
    assert row.verdict == "no difference shown"


def test_a_seed_decides_the_intervals():
    one, other = evaluation(p=random_scores(40, 0)), evaluation(p=random_scores(40, 1))
    assert compare(one, other, seed=1) == compare(one, other, seed=1)
    assert compare(one, other, seed=1) != compare(one, other, seed=2)


def test_it_prints_as_a_plain_table_and_goes_into_json():
    before = evaluation(mrr=random_scores(2000, 0), **{"recall@1": torch.zeros(2000)}, left_out=1234, num_queries=3234)
    after = evaluation(mrr=torch.ones(2000), **{"recall@1": torch.zeros(2000)}, left_out=1234, num_queries=3234)
    comparison = compare(before, after, confidence=0.9, resamples=100)
    lines = str(comparison).splitlines()
    assert lines[0].split() == ["metric", "before", "after", "difference", "won", "lost", "tied", "verdict"]
    value = comparison.rows[0].before
    assert f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]  1.000 [1.000, 1.000]" in lines[1]
    assert f"+{1 - value.value:.3f} [+" in lines[1]
    assert lines[1].startswith("mrr ") and lines[1].endswith("2,000     0      0  better")
    assert lines[2].startswith("recall@1 ") and lines[2].endswith("no difference shown")
    assert lines[4] == "2,000 queries, 1,234 left out (nothing relevant). In brackets: 90 % bootstrap intervals."
    content = json.loads(json.dumps(comparison.to_dict()))
    assert content["metrics"][0] == {
        "name": "mrr",
        "before": value._asdict(),
        "after": {"value": 1.0, "low": 1.0, "high": 1.0},
        "difference": comparison.rows[0].difference._asdict(),
        "won": 2000,
        "lost": 0,
        "tied": 0,
        "verdict": "better",
    }
    assert (content["num_queries"], content["num_left_out"], content["confidence"]) == (2000, 1234, 0.9)


def test_rich_shows_the_same_and_takes_no_name_for_markup():
    comparison = compare(evaluation(**{"[red]p[/x]": torch.zeros(9)}), evaluation(**{"[red]p[/x]": torch.ones(9)}))
    stream = io.StringIO()
    Console(file=stream, width=160).print(comparison)
    shown = stream.getvalue()
    for text in ("[red]p[/x]", "+1.000 [+1.000, +1.000]", "better", comparison.basis, comparison.summary):
        assert text in shown


SCORES = [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (evaluation(q=SCORES), r"different metrics: \['p'\] before and \['q'\] after. Score both models with one"),
        (evaluation(p=SCORES[:3]), "different queries: of 4 before and of 3 after"),
        (evaluation(p=SCORES, queries=[0, 1, 2, 9], num_queries=10), "of 4 before and of 10 after"),
        (evaluation(p=SCORES, data="two"), "the data sets hold other objects or labels"),
        (evaluation(p=[0.0, 0.5, 1.0, torch.nan], data="one"), "p leaves out other ones before than after"),
    ],
)
def test_evaluations_of_different_queries_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        compare(evaluation(p=SCORES, data="one"), other)


def test_other_samples_of_one_set_are_refused():
    one, other = (evaluation(p=SCORES, queries=queries, num_queries=9) for queries in ([0, 1, 2, 3], [0, 1, 2, 8]))
    with pytest.raises(ValueError, match=r"other ones of 9 were drawn before than after.*one Evaluator on one data"):
        compare(one, other)


def test_what_is_no_evaluation_is_refused():
    with pytest.raises(TypeError, match=r"after is a dict; expected an Evaluation, as Evaluator.score"):
        compare(evaluation(p=SCORES), {"p": 1.0})


@pytest.fixture
def two_models(model_of):
    """A model with noise about the groups of 80 texts, one with less, and the texts' samples."""
    generator = torch.Generator().manual_seed(0)
    members = torch.arange(80) % 3
    texts = [f"text {i}" for i in range(80)]
    models = []
    for noise in (2.0, 0.3):
        points = torch.eye(3)[members] + noise * torch.randn(80, 3, generator=generator)
        models.append(model_of(dict(zip(texts, points.tolist(), strict=True))))
    return *models, [SimilarityGroupSample(text, int(g)) for text, g in zip(texts, members, strict=True)]


def test_two_models_are_compared_on_a_sample_of_one_data_set(two_models):
    noisy, tuned, samples = two_models
    evaluator = Evaluator(
        [group.RetrievalRPrecision(), group.RetrievalReciprocalRank()], GroupSampler(40, log_progress=False)
    )
    comparison = compare(evaluator.score(samples, noisy), evaluator.score(samples, tuned))
    assert [row.verdict for row in comparison.rows] == ["better", "better"]
    assert comparison.num_queries == 40
    back = compare(evaluator.score(samples, tuned), evaluator.score(samples, noisy))
    assert back.summary == "Not better: worse by RetrievalRPrecision, RetrievalReciprocalRank."


def test_data_of_equal_size_with_another_text_or_label_is_refused(two_models):
    noisy, tuned, samples = two_models
    evaluator = Evaluator(group.RetrievalRPrecision(), GroupSampler(log_progress=False))
    swapped = [samples[1], samples[0], *samples[2:]]
    relabelled = [SimilarityGroupSample(samples[0].obj, 1), *samples[1:]]
    for other in (swapped, relabelled):
        with pytest.raises(ValueError, match="the data sets hold other objects or labels"):
            compare(evaluator.score(samples, noisy), evaluator.score(other, tuned))


def test_metrics_of_scored_pairs_are_compared_over_pairs(two_models):
    noisy, tuned, samples = two_models
    data = [
        SimilarityPairSample(one.obj, other.obj, score=float(one.group == other.group))
        for one, other in zip(samples, [*samples[7:], *samples[:7]], strict=True)
    ]
    data += [SimilarityPairSample(samples[i].obj, samples[i + 3].obj) for i in range(30)]
    metrics = [scored.RocAuc(), pair.RetrievalRPrecision()]
    evaluator = Evaluator(metrics, PairSampler(log_progress=False))
    before, after = evaluator.score(data, noisy), evaluator.score(data, tuned)
    comparison = compare(before, after, resamples=200)
    auc, precision = comparison.rows
    assert auc.name == "RocAuc" and auc.verdict == "better"
    assert (auc.won, auc.lost, auc.tied) == (None, None, None)
    assert auc.before.value == pytest.approx(before.values["RocAuc"].item(), abs=1e-6)
    assert auc.difference.value == pytest.approx(auc.after.value - auc.before.value, abs=1e-12)
    assert auc.difference.low < auc.difference.value < auc.difference.high
    assert precision.won + precision.lost + precision.tied == comparison.num_queries
    assert json.loads(json.dumps(comparison.to_dict()))["metrics"][0]["won"] is None
    only = Evaluator(scored.RocAuc(), PairSampler(log_progress=False))
    text = str(compare(only.score(data, noisy), only.score(data, noisy), resamples=50))
    assert "110 pairs. In brackets" in text and "Not better" in text


def test_pairs_with_other_scores_are_refused(two_models):
    model, _, samples = two_models
    evaluator = Evaluator(scored.SpearmanCorrelation(), PairSampler(log_progress=False))
    data = [SimilarityPairSample(samples[i].obj, samples[i + 1].obj, score=i / 10) for i in range(10)]
    other = [SimilarityPairSample(samples[i].obj, samples[i + 1].obj, score=(i + 1) / 10) for i in range(10)]
    with pytest.raises(ValueError, match="hold other objects or labels"):
        compare(evaluator.score(data, model), evaluator.score(other, model))
