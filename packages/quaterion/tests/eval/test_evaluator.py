import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import group, pair, scored
from quaterion.eval.attached_metric import AttachedMetric
from quaterion.eval.base_metric import UnscorableSetError
from quaterion.eval.evaluator import Evaluator
from quaterion.eval.samplers import GroupSampler, PairSampler
from quaterion.loss import TripletLoss
from quaterion.train.trainable_model import TrainableModel
from quaterion_models.heads import GatedHead


@pytest.fixture
def groups_of_texts():
    """Vectors of 60 texts, their samples in 13 groups, two of which have one member."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(13, 3, generator=generator)
    members = torch.cat([torch.arange(11).repeat(6)[:58], torch.tensor([11, 12])])
    points = centres[members] + 0.5 * torch.randn(60, 3, generator=generator)
    vectors = {f"text {i}": point.tolist() for i, point in enumerate(points)}
    samples = [SimilarityGroupSample(text, f"group {g}") for text, g in zip(vectors, members.tolist(), strict=True)]
    return vectors, samples, points, members


def group_sampler(**options):
    return GroupSampler(log_progress=False, **options)


def pair_sampler(**options):
    return PairSampler(log_progress=False, **options)


def test_values_are_those_of_the_metrics_over_the_whole_set(groups_of_texts, model_of):
    vectors, samples, points, members = groups_of_texts
    metrics = [group.RetrievalRPrecision(), group.RetrievalPrecision(k=3), group.NDCG(k=5)]
    values = Evaluator(metrics, group_sampler()).evaluate(samples, model_of(vectors))
    assert list(values) == ["RetrievalRPrecision", "RetrievalPrecision", "NDCG"]
    for metric, value in zip(metrics, values.values(), strict=True):
        assert torch.equal(value, metric.compute(points, members))


def test_a_sample_gives_the_scores_those_queries_have_in_the_whole_set(groups_of_texts, model_of):
    vectors, samples, _, _ = groups_of_texts
    metrics = {
        "r": group.RetrievalRPrecision(),
        "mrr": group.RetrievalReciprocalRank(),
        "ap": group.MeanAveragePrecisionAtR(),
    }
    model = model_of(vectors)
    whole = Evaluator(metrics, group_sampler()).score(samples, model)
    some = Evaluator(metrics, group_sampler(sample_size=20)).score(samples, model)
    assert len(some.queries) == 20
    assert (whole.num_queries, whole.num_left_out) == (some.num_queries, some.num_left_out) == (60, 2)
    for name in metrics:
        assert torch.equal(some.scores[name], whole.scores[name][some.queries])
        assert some.values[name].item() == pytest.approx(some.scores[name].mean().item(), abs=1e-6)
        interval = some.intervals()[name]
        assert interval.low <= interval.value <= interval.high


@pytest.mark.parametrize("size", [-1, 1, 7, 29])
def test_perfect_groups_score_exactly_one_whatever_the_sample(size, model_of):
    vectors = {f"{g}{i}": torch.eye(3)[g].tolist() for g in range(3) for i in range(10)}
    samples = [SimilarityGroupSample(text, text[0]) for text in vectors] + [SimilarityGroupSample("alone", "alone")]
    model = model_of(vectors | {"alone": [-1, -1, -1]})
    metrics = [group.RetrievalPrecision(9), group.RetrievalRecall(1), group.RetrievalRPrecision()]
    metrics += [group.MeanAveragePrecisionAtR(), group.RetrievalReciprocalRank(), group.NDCG(30)]
    values = Evaluator(metrics, group_sampler(sample_size=size)).evaluate(samples, model)
    assert all(torch.equal(value, torch.tensor(1.0)) for value in values.values())


@pytest.mark.parametrize("size", [-1, 1, 5])
@pytest.mark.parametrize("distinguish", [False, True])
def test_perfect_pairs_score_exactly_one_whatever_the_sample(size, distinguish, model_of):
    vectors = {f"{side}{i}": [float(x) for x in (i == 0, i == 1, i == 2)] for side in "qd" for i in range(3)}
    samples = [SimilarityPairSample(f"q{i}", f"d{i}", subgroup=i) for i in range(3)]
    samples.append(SimilarityPairSample("q0", "d0"))  # once more
    samples.append(SimilarityPairSample("q1", "d2", score=0.0))
    metrics = [pair.RetrievalPrecision(), pair.RetrievalRecall(), pair.RetrievalReciprocalRank()]
    metrics += [pair.RetrievalRPrecision(), pair.MeanAveragePrecisionAtR(), pair.NDCG(3)]
    metrics += [scored.SpearmanCorrelation(), scored.PearsonCorrelation()]
    metrics += [scored.AveragePrecision(), scored.BestF1(), scored.RocAuc()]
    sampler = pair_sampler(sample_size=size, distinguish=distinguish)
    values = Evaluator(metrics, sampler).evaluate(samples, model_of(vectors))
    assert all(torch.equal(value, torch.tensor(1.0)) for value in values.values())


PAIR_METRICS = {
    "precision": lambda **options: pair.RetrievalPrecision(2, **options),
    "recall": lambda **options: pair.RetrievalRecall(2, **options),
    "r_precision": pair.RetrievalRPrecision,
    "map_at_r": pair.MeanAveragePrecisionAtR,
    "reciprocal_rank": pair.RetrievalReciprocalRank,
    "ndcg": lambda **options: pair.NDCG(2, **options),
}


@pytest.mark.parametrize("name", PAIR_METRICS)
def test_sides_are_searched_as_brute_force_does(name, model_of, brute_force):
    generator = torch.Generator().manual_seed(3)
    points = torch.randint(-2, 3, (12, 3), generator=generator).float()
    texts = [f"text {i}" for i in range(12)]
    samples = [SimilarityPairSample(texts[i], texts[i + 6], score=float(i != 2)) for i in range(6)]
    pairs = torch.stack([torch.arange(6), torch.arange(6) + 6], dim=1)
    labels = torch.tensor([sample.score for sample in samples])
    model = model_of(dict(zip(texts, points.tolist(), strict=True)))
    for distinguish in (False, True):
        metric = PAIR_METRICS[name](reduce_func=None)
        values = Evaluator({"value": metric}, pair_sampler(distinguish=distinguish)).evaluate(samples, model)
        expected = brute_force.pair_scores(name, points, labels, pairs, k=2, sides=distinguish)
        assert values["value"].tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert metric.num_left_out == (1 if distinguish else 2)


def test_a_trainable_model_is_left_as_it_was(groups_of_texts, model_of, encoder_of):
    vectors, samples, points, members = groups_of_texts
    built = model_of(vectors)

    class Training(TrainableModel):
        def configure_encoders(self):
            return encoder_of(built)

        def configure_head(self, input_embedding_size):
            return GatedHead(input_embedding_size, dropout=0.5)

        def configure_loss(self):
            return TripletLoss()

    training = Training().train()
    modes = {name: module.training for name, module in training.named_modules()}
    state = {name: value.clone() for name, value in training.state_dict().items()}
    values = Evaluator(group.RetrievalRPrecision(), group_sampler(device="cpu")).evaluate(samples, training)
    gated = points * torch.tensor(2.0).tanh()  # the head's gates start at 2, and no dropout is at work
    assert torch.equal(values["RetrievalRPrecision"], group.RetrievalRPrecision().compute(gated, members))
    assert {name: module.training for name, module in training.named_modules()} == modes
    assert any(modes.values())
    assert all(torch.equal(value, state[name]) for name, value in training.state_dict().items())
    assert all(parameter.grad is None for parameter in training.parameters())
    assert encoder_of(built).modes == {False}
    assert len(encoder_of(built).asked) == 60


def test_attached_metrics_go_by_the_name_they_are_attached_under(groups_of_texts, model_of):
    vectors, samples, _, _ = groups_of_texts
    metrics = [AttachedMetric("p1", group.RetrievalPrecision(1)), AttachedMetric("p3", group.RetrievalPrecision(3))]
    assert list(Evaluator(metrics, group_sampler()).evaluate(samples, model_of(vectors))) == ["p1", "p3"]


def test_two_metrics_of_one_name_are_refused():
    metrics = [group.RetrievalPrecision(1), group.RetrievalPrecision(3)]
    with pytest.raises(ValueError, match=r"two metrics of the name 'RetrievalPrecision'.*Pass a dict"):
        Evaluator(metrics, group_sampler())


@pytest.mark.parametrize("metrics", [[], {}])
def test_no_metric_is_refused(metrics):
    with pytest.raises(ValueError, match="got no metric"):
        Evaluator(metrics, group_sampler())


def test_a_metric_of_the_other_kind_is_refused_with_both_names():
    with pytest.raises(
        TypeError, match=r"of quaterion.eval.pair.retrieval_precision, but GroupSampler serves GroupMetric"
    ):
        Evaluator(pair.RetrievalPrecision(), group_sampler())
    with pytest.raises(TypeError, match=r"'r' is a RetrievalRPrecision.*Use metrics of quaterion.eval.pair"):
        Evaluator({"r": group.RetrievalRPrecision()}, pair_sampler())


def test_something_else_than_a_sampler_is_refused():
    with pytest.raises(TypeError, match=r"The sampler is a int; expected a GroupSampler or a PairSampler"):
        Evaluator(group.RetrievalRPrecision(), 100)


def test_a_k_larger_than_the_set_is_refused(groups_of_texts, model_of):
    vectors, samples, _, _ = groups_of_texts
    with pytest.raises(UnscorableSetError, match=r"first k=60 candidates, but each query has only 59"):
        Evaluator(group.RetrievalPrecision(60), group_sampler()).evaluate(samples, model_of(vectors))


def test_nothing_relevant_for_any_query_is_refused(groups_of_texts, model_of):
    vectors, samples, _, _ = groups_of_texts
    different = [SimilarityGroupSample(sample.obj, place) for place, sample in enumerate(samples)]
    with pytest.raises(UnscorableSetError, match=r"Not one of 60 queries has a relevant candidate"):
        Evaluator(group.RetrievalRPrecision(), group_sampler(sample_size=5)).evaluate(different, model_of(vectors))


def test_groups_of_an_evaluation_are_those_of_the_data(groups_of_texts, model_of):
    vectors, samples, _, members = groups_of_texts
    evaluator = Evaluator(group.RetrievalRPrecision(), group_sampler())
    whole = evaluator.score(samples, model_of(vectors))
    parts = whole.by_group()
    assert list(parts) == list(dict.fromkeys(sample.group for sample in samples))
    for label, part in parts.items():
        own = whole.scores["RetrievalRPrecision"][members == int(label.removeprefix("group "))]
        assert torch.equal(part.scores["RetrievalRPrecision"].nan_to_num(-1), own.nan_to_num(-1))
    assert parts["group 11"].num_left_out == 1
    some = Evaluator(group.RetrievalRPrecision(), group_sampler(sample_size=20)).score(samples, model_of(vectors))
    assert sum(part.num_queries for part in some.by_group().values()) == 20
    for label, part in some.by_group().items():
        assert all(samples[query].group == label for query in part.queries.tolist())


def scored_samples(texts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(len(texts), (40, 2), generator=generator).tolist()
    scores = (torch.rand(40, generator=generator) < 0.4).float().tolist()
    negatives = [texts[:1]] + [[]] * 39
    return [
        SimilarityPairSample(texts[a], texts[b], score=score, negatives=more)
        for (a, b), score, more in zip(ends, scores, negatives, strict=True)
    ]


@pytest.mark.parametrize("options", [{}, {"sample_size": 3}, {"distinguish": True}])
def test_scored_pairs_are_all_compared_whatever_the_sample(options, groups_of_texts, model_of):
    vectors, _, points, _ = groups_of_texts
    samples = scored_samples(list(vectors))
    metrics = [scored.RocAuc(), pair.RetrievalRPrecision(), scored.SpearmanCorrelation()]
    result = Evaluator(metrics, pair_sampler(**options)).score(samples, model_of(vectors))
    places = {text: place for place, text in enumerate(vectors)}
    rows = torch.tensor([[places[sample.obj_a], places[sample.obj_b]] for sample in samples])
    similarities = torch.cosine_similarity(points[rows[:, 0]].double(), points[rows[:, 1]].double())
    labels = [sample.score for sample in samples]
    assert list(result.values) == ["RocAuc", "RetrievalRPrecision", "SpearmanCorrelation"]
    assert result.values["RocAuc"].item() == pytest.approx(roc_auc_score(labels, similarities), abs=1e-6)
    expected = spearmanr(labels, similarities).statistic
    assert result.values["SpearmanCorrelation"].item() == pytest.approx(expected, abs=1e-6)
    assert list(result.scores) == ["RetrievalRPrecision"]
    intervals = result.intervals(resamples=50)
    assert list(intervals) == list(result.values)
    assert intervals["RocAuc"].low < intervals["RocAuc"].value < intervals["RocAuc"].high


def test_scored_pairs_alone_need_nothing_relevant(groups_of_texts, model_of):
    vectors, _, _, _ = groups_of_texts
    texts = list(vectors)
    samples = [SimilarityPairSample(texts[2 * i], texts[2 * i + 1], score=-i / 10) for i in range(9)]
    value = Evaluator(scored.SpearmanCorrelation(), pair_sampler()).evaluate(samples, model_of(vectors))
    assert -1 <= value["SpearmanCorrelation"].item() <= 1
    with pytest.raises(UnscorableSetError, match=r"Not one of 18 queries has a relevant candidate"):
        Evaluator(pair.RetrievalRPrecision(), pair_sampler()).evaluate(samples, model_of(vectors))


def test_a_metric_of_scored_pairs_is_refused_for_groups():
    with pytest.raises(TypeError, match=r"'RocAuc' is a RocAuc .* GroupSampler serves GroupMetric. Use metrics of"):
        Evaluator(scored.RocAuc(), group_sampler())
    with pytest.raises(TypeError, match=r"serves PairMetric and ScoredPairMetric. Use metrics of quaterion.eval.p"):
        Evaluator(group.RetrievalRPrecision(), pair_sampler())


def test_data_with_unreadable_objects_has_no_digest_and_other_data_another(groups_of_texts, model_of):
    vectors, samples, _, _ = groups_of_texts

    def digest(data):
        return group_sampler().task(data, model_of(vectors)).data

    assert digest(samples) == digest(list(samples))
    changed = [*samples[:-1], SimilarityGroupSample(samples[-1].obj, "group 0")]
    assert len({digest(samples), digest(changed), digest([samples[1], samples[0], *samples[2:]])}) == 3

    opaque = open  # a function has no content

    class Known(dict):
        def __missing__(self, key):
            return [1.0, 0.0, 0.0]

    unreadable = [*samples, SimilarityGroupSample(opaque, "group 0")]
    assert group_sampler().task(unreadable, model_of(Known(vectors))).data is None


def test_searching_shows_a_bar_of_its_own_on_request(groups_of_texts, model_of, capsys):
    vectors, samples, _, _ = groups_of_texts
    Evaluator(group.RetrievalRPrecision(), group_sampler()).evaluate(samples, model_of(vectors))
    assert capsys.readouterr() == ("", "")
    Evaluator(group.RetrievalRPrecision(), GroupSampler()).evaluate(samples, model_of(vectors))
    out, err = capsys.readouterr()
    assert out == ""
    assert "Encoding" in err and "60/60" in err
    assert "Searching" in err and "58/58" in err  # two texts are alone in their group
