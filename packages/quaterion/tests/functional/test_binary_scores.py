import math

import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from quaterion.functional.binary_scores import best_f1, binary_average_precision, roc_auc

ALL = [binary_average_precision, roc_auc, lambda *arguments: best_f1(*arguments).f1]


def pairs(levels, seed, count=50):
    generator = torch.Generator().manual_seed(seed)
    matches = torch.rand(count, generator=generator) < 0.3
    matches[0], matches[1] = True, False
    similarity = torch.randint(-levels, levels + 1, (count,), generator=generator).float() / levels
    return similarity + 0.5 * matches, matches


@pytest.mark.parametrize("levels", [1, 2, 10_000])  # of one level, three similarities are shared by 50 pairs
@pytest.mark.parametrize("seed", range(4))
def test_they_agree_with_scikit_learn_ties_and_negative_similarities_included(levels, seed):
    similarity, matches = pairs(levels, seed)
    expected = average_precision_score(matches.numpy(), similarity.numpy())
    assert binary_average_precision(similarity, matches).item() == pytest.approx(expected, abs=1e-12)
    expected = roc_auc_score(matches.numpy(), similarity.numpy())
    assert roc_auc(similarity, matches).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_f1_is_the_largest_of_all_thresholds_and_its_threshold_gives_it(levels, seed):
    similarity, matches = pairs(levels, seed)
    f1, threshold = best_f1(similarity, matches)
    expected = {value: f1_score(matches.numpy(), (similarity >= value).numpy()) for value in similarity.tolist()}
    assert f1.item() == pytest.approx(max(expected.values()), abs=1e-12)
    assert expected[threshold.item()] == pytest.approx(f1.item(), abs=1e-12)
    best = [value for value, score in expected.items() if score > max(expected.values()) - 1e-12]
    assert threshold.item() == max(best)


@pytest.mark.parametrize("score", ALL)
def test_pairs_that_are_told_apart_score_exactly_one(score):
    similarity = torch.linspace(-1, 1, 77)
    assert score(similarity, similarity > 0.1).item() == 1.0
    assert score((similarity > 0.1).float(), similarity > 0.1).item() == 1.0


def test_a_model_that_finds_all_pairs_equal_scores_by_chance():
    similarity, matches = torch.zeros(10), torch.arange(10) < 3
    assert binary_average_precision(similarity, matches).item() == 0.3
    assert roc_auc(similarity, matches).item() == 0.5
    assert best_f1(similarity, matches).f1.item() == pytest.approx(2 * 3 / (10 + 3))


@pytest.mark.parametrize("score", ALL)
@pytest.mark.parametrize("matches", [torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)])
def test_pairs_of_one_kind_have_no_score(score, matches):
    assert math.isnan(score(torch.rand(3), matches).item())


@pytest.mark.parametrize("score", [*ALL, lambda *arguments: best_f1(*arguments).threshold])
@pytest.mark.parametrize("levels", [1, 10_000])
def test_samples_score_what_their_pairs_score_written_out(score, levels):
    similarity, matches = pairs(levels, seed=5, count=12)
    counts = torch.randint(0, 3, (60, 12), generator=torch.Generator().manual_seed(6)).float()
    counts[0] = matches.float()  # all match: no value
    counts[1] = (~matches).float()
    counts[2] = 1.0
    found = score(similarity, matches, counts)
    written_out = [
        score(similarity.repeat_interleave(times.long()), matches.repeat_interleave(times.long())) for times in counts
    ]
    assert torch.equal(found.isnan(), torch.stack(written_out).isnan())
    assert torch.allclose(found, torch.stack(written_out), rtol=0, atol=1e-12, equal_nan=True)
    assert found[:2].isnan().all() and torch.equal(found[2], score(similarity, matches))


@pytest.mark.parametrize("score", ALL)
def test_no_pair_has_no_score(score):
    assert math.isnan(score(torch.empty(0), torch.empty(0, dtype=torch.bool)).item())
    assert score(torch.empty(0), torch.empty(0, dtype=torch.bool), torch.empty(3, 0)).isnan().tolist() == [True] * 3


@pytest.mark.parametrize("score", ALL)
def test_arguments_that_do_not_fit_are_refused(score):
    with pytest.raises(ValueError, match=r"shape \(3,\) and matches \(2,\); expected one number and one flag"):
        score(torch.ones(3), torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"type torch.float32; expected torch.bool, such as scores > 0.5"):
        score(torch.ones(3), torch.ones(3))
