"""Scores against plain loops, and whether a gain is told from chance."""

import math
from dataclasses import replace

import pytest
import torch

from quaterion.tuning import Part, Recipe
from quaterion.tuning.search.decision import gain_over
from quaterion.tuning.search.scoring import Score, mean_score, score_fold
from quaterion.tuning.training.fold import TrainedFold
from quaterion.tuning.training.head_training import TrainedHead, train_head
from quaterion.tuning.training.vectors import SampleVectors
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead
from quaterion_models.predict.knn import DEFAULT_NEIGHBOURS as NEIGHBOURS
from quaterion_models.predict.knn import DEFAULT_TEMPERATURE as TEMPERATURE

SIZE = 32

CPU = torch.device("cpu")
UNTOUCHED = TrainedHead(EmptyHead(SIZE).eval(), None)


def encoded(*parts, two_sided=False):
    vectors = SampleVectors({"default": VectorEncoder(SIZE)}, cache=None, device=CPU, progress=None)
    return [vectors.encode(part, two_sided=two_sided) for part in parts]


def fold(head, train, held_out):
    return TrainedFold(train, held_out, head)


def cosine(one, other):
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.dist(one, [0] * len(one)) / math.dist(other, [0] * len(other))


def test_accuracy_is_that_of_the_nearest_neighbours_vote(noisy):
    train, rest = noisy.group_samples(8, seed=1), noisy.group_samples(4, seed=2)
    right = []
    for query in rest:
        nearest = sorted(((cosine(query.obj, one.obj), one.group) for one in train), reverse=True)[:NEIGHBOURS]
        votes: dict[str, float] = {}
        for similarity, group in nearest:
            votes[group] = votes.get(group, 0.0) + math.exp((similarity - nearest[0][0]) / TEMPERATURE)
        right.append(float(max(votes, key=votes.__getitem__) == query.group))
    score = score_fold(fold(UNTOUCHED, *encoded(train, rest)), metric="accuracy", unseen=False)
    assert score.per_query.tolist() == right
    assert score.value == pytest.approx(sum(right) / len(right))
    assert 0 < score.value < 1


def test_groups_that_training_lacks_are_not_scored(noisy):
    train, rest = noisy.group_samples(8, seed=1), noisy.group_samples(4, seed=2)
    unknown = [replace(one, group="never seen") for one in noisy.group_samples(2, seed=3)]
    for trained in (UNTOUCHED, None):
        parts = encoded(train, rest, [*unknown, *rest])
        recipe = Recipe(losses=(Part("SoftmaxLoss"),), epochs=2)
        head = trained or train_head(recipe, parts[0], size=SIZE, device=CPU)
        scores = [score_fold(fold(head, parts[0], part), metric="accuracy", unseen=False) for part in parts[1:]]
        assert scores[0].per_query.tolist() == scores[1].per_query.tolist()
        torch.testing.assert_close(scores[0].likelihood, scores[1].likelihood)


def test_reciprocal_rank_looks_at_distinct_documents_and_forgives_other_right_ones(noisy):
    samples = noisy.pair_samples(30, seed=3)
    samples[1].obj_a, samples[2].obj_b = samples[0].obj_a, samples[3].obj_b  # two answers; one document twice
    documents = {tuple(one.obj_b) for one in samples}
    expected = []
    for sample in samples:
        own = cosine(sample.obj_a, sample.obj_b)
        right = {tuple(one.obj_b) for one in samples if one.obj_a == sample.obj_a}
        ahead = sum(cosine(sample.obj_a, document) > own + 1e-9 for document in documents - right)
        expected.append(1 / (1 + ahead))
    score = score_fold(fold(UNTOUCHED, *encoded(samples, samples)), metric="mrr", unseen=False)
    assert score.per_query.tolist() == pytest.approx(expected)


def test_a_head_that_makes_all_equal_finds_nothing(noisy):
    class Same(EmptyHead):
        def transform(self, input_vectors):
            return torch.ones_like(input_vectors)

    samples = noisy.pair_samples(30, seed=3)
    same = TrainedHead(Same(SIZE).eval(), None)
    score = score_fold(fold(same, *encoded(samples, samples)), metric="mrr", unseen=False)
    assert score.value == pytest.approx(1 / 15.5)  # the middle of 30


def test_average_precision_of_matches(noisy):
    samples = noisy.pair_samples(40, scored=True, seed=4)
    ordered = sorted(samples, key=lambda one: -cosine(one.obj_a, one.obj_b))
    hits, total = 0, 0.0
    for place, one in enumerate(ordered, start=1):
        hits += one.score > 0
        total += hits / place * (one.score > 0)
    score = score_fold(fold(UNTOUCHED, *encoded(samples, samples)), metric="average precision", unseen=False)
    assert score.value == pytest.approx(total / hits)


def test_unseen_groups_are_searched_among_themselves(noisy):
    train, rest = noisy.group_samples(6, groups=3, seed=5), noisy.group_samples(5, seed=6)
    unseen = [one for one in rest if one.group in {"g3", "g4", "g5"}]
    score = score_fold(fold(UNTOUCHED, *encoded(train, unseen)), metric="accuracy", unseen=True)
    assert len(score.per_query) == len(unseen)
    assert score.value > 1 / 3


def test_a_trained_head_is_a_real_gain_and_shuffled_labels_are_none(noisy):
    train, rest = noisy.group_samples(40, seed=7), noisy.group_samples(40, seed=8)
    recipe = Recipe(head=Part("GatedHead"), losses=(Part("SoftmaxLoss"),), lr=0.05, epochs=60, batch_size=64)
    parts = encoded(train, rest)
    scores = [
        [score_fold(fold(one, *parts), metric="accuracy", unseen=False)]
        for one in (UNTOUCHED, train_head(recipe, parts[0], size=SIZE, device=CPU))
    ]
    gain = gain_over(*scores, metric="accuracy")
    assert gain.real
    assert gain.metric == pytest.approx(mean_score(scores[1]) - mean_score(scores[0]))
    assert not gain_over(scores[1], scores[0], metric="accuracy").real
    assert not gain_over(scores[0], scores[0], metric="accuracy").real


def test_knowing_nothing_is_no_worse_than_guessing(noisy):
    generator = torch.Generator().manual_seed(0)
    train, rest = noisy.group_samples(30, seed=9), noisy.group_samples(30, seed=10)
    for part in (train, rest):
        labels = [one.group for one in part]
        for one, place in zip(part, torch.randperm(len(part), generator=generator).tolist(), strict=True):
            one.group = labels[place]
    score = score_fold(fold(UNTOUCHED, *encoded(train, rest)), metric="accuracy", unseen=False)
    assert score.choice >= -math.log(6) - 0.01


def test_scored_pairs_are_compared_by_resampling_pairs():
    wanted = torch.linspace(0, 1, 200)
    noise = torch.randn(200, generator=torch.Generator().manual_seed(0))
    good = Score(0.9, scored=(wanted + 0.1 * noise, wanted))
    bad = Score(0.2, scored=(noise, wanted))
    assert gain_over([bad], [good], metric="spearman").real
    assert not gain_over([good], [bad], metric="spearman").real
