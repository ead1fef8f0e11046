"""Hard negatives against the slowest way there is: every query with every document, in plain Python."""

import logging
import random

import pytest
import torch
from torch import nn

from quaterion.cache import EmbeddingStore
from quaterion.dataset import PairsSimilarityDataLoader, SimilarityGroupSample, SimilarityPairSample
from quaterion.eval import mine_hard_negatives, mining_search
from quaterion.functional.similarity import METRICS, similarity_matrix
from quaterion.loss import MultipleNegativesRankingLoss
from quaterion_models.heads import EncoderHead

WORDS = [f"word {i}" for i in range(60)]


def vectors_of(words, *, seed=0, whole=True):
    """Vectors of small whole numbers, so that dot products are exact and many of them tie."""
    generator = torch.Generator().manual_seed(seed)
    if whole:
        return torch.randint(-2, 4, (len(words), 3), generator=generator).float() + 0.5
    return torch.randn(len(words), 5, generator=generator)


def random_pairs(seed, count=70, num_subgroups=12):
    draw = random.Random(seed)
    return [
        SimilarityPairSample(
            draw.choice(WORDS[:30]),
            draw.choice(WORDS[15:50]),
            subgroup=f"subgroup {draw.randrange(num_subgroups)}",
            negatives=draw.sample(WORDS, draw.randrange(3)),
        )
        for _ in range(count)
    ]


def brute_force(pairs, similarity, k, *, documents, margin=None, relative_margin=None, skip_top=0, exclude=None):
    """`similarity` takes two words. Documents in the order of their first appearance, which decides ties."""
    listed = list(dict.fromkeys([*(pair.obj_b for pair in pairs), *documents]))
    subgroups = {}
    for pair in pairs:
        for word in (pair.obj_a, pair.obj_b):
            subgroups.setdefault(word, set()).add(pair.subgroup)
    used = len({pair.subgroup for pair in pairs}) > 1
    linked = {(pair.obj_a, pair.obj_b) for pair in pairs} | {(pair.obj_b, pair.obj_a) for pair in pairs}
    found = []
    for pair in pairs:
        query = pair.obj_a
        allowed = [
            word
            for word in listed
            if word != query
            and (query, word) not in linked
            and word not in pair.negatives
            and not (used and subgroups.get(query, set()) & subgroups.get(word, set()))
            and not (exclude is not None and exclude(query, word))
        ]
        ranked = sorted(allowed, key=lambda word: -similarity(query, word))[skip_top:]
        positive = similarity(query, pair.obj_b)
        limits = [] if margin is None else [positive - margin]
        if relative_margin is not None:
            limits.append(positive * (1 - relative_margin if positive > 0 else 1 + relative_margin))
        kept = [word for word in ranked if all(similarity(query, word) <= limit for limit in limits)]
        found.append([*pair.negatives, *kept[:k]])
    return found


def looked_up(vectors, metric):
    matrix = similarity_matrix(vectors, vectors, metric).tolist()
    place = {word: i for i, word in enumerate(WORDS)}
    return lambda a, b: matrix[place[a]][place[b]]


OPTIONS = [
    {},
    {"margin": 1.0},
    {"margin": -2.0},
    {"relative_margin": 0.25},
    {"margin": 0.5, "relative_margin": 0.25},
    {"skip_top": 3},
    {"skip_top": 2, "margin": 1.5},
    {"exclude": lambda query, word: (int(query[5:]) + int(word[5:])) % 3 == 0},
    {"exclude": lambda query, word: int(word[5:]) % 7 > 0, "skip_top": 1, "margin": 0.25},
    {"exclude": lambda query, word: True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("num_subgroups", [12, 1])
@pytest.mark.parametrize("max_entries", [None, 100])
def test_pairs_get_the_negatives_that_comparing_all_gives(options, num_subgroups, max_entries):
    for seed in range(4):
        pairs = random_pairs(seed, num_subgroups=num_subgroups)
        vectors = vectors_of(WORDS, seed=seed)
        store = EmbeddingStore.from_vectors(WORDS, vectors)
        extra = WORDS[40:]
        mined = mine_hard_negatives(
            pairs, store, 4, documents=extra, distance_metric_name="dot_product", max_entries=max_entries, **options
        )
        expected = brute_force(pairs, looked_up(vectors, "dot_product"), 4, documents=extra, **options)
        assert [pair.negatives for pair in mined] == expected
        assert [(p.obj_a, p.obj_b, p.score, p.subgroup) for p in mined] == [
            (p.obj_a, p.obj_b, p.score, p.subgroup) for p in pairs
        ]


@pytest.mark.parametrize("metric", METRICS)
def test_every_distance_is_searched_by_its_own_similarity(metric):
    pairs = random_pairs(7)
    vectors = vectors_of(WORDS, whole=False)
    store = EmbeddingStore.from_vectors(WORDS, vectors)
    mined = mine_hard_negatives(pairs, store, 3, distance_metric_name=metric, relative_margin=0.1)
    expected = brute_force(pairs, looked_up(vectors, metric), 3, documents=[], relative_margin=0.1)
    assert [pair.negatives for pair in mined] == expected


def test_a_copy_of_a_query_shares_its_partners_and_a_query_is_no_negative_of_its_document():
    vectors = {"a": [1.0, 0.0], "b": [1.0, 0.1], "c": [1.0, 0.2], "d": [0.0, 1.0], "e": [0.1, 1.0]}
    store = EmbeddingStore.from_vectors(list(vectors), list(vectors.values()))
    pairs = [
        SimilarityPairSample("a", "b"),
        SimilarityPairSample("a", "c"),  # so c answers the first query too
        SimilarityPairSample("d", "a"),  # a is a document: not of its own query, and not of those it answers
        SimilarityPairSample("c", "e"),
    ]
    mined = mine_hard_negatives(pairs, store, 1)
    assert [pair.negatives for pair in mined] == [["e"], ["e"], ["e"], ["b"]]


def test_only_as_many_documents_are_asked_about_as_are_needed():
    pairs = random_pairs(3)
    vectors = vectors_of(WORDS, seed=3)
    store = EmbeddingStore.from_vectors(WORDS, vectors)
    asked = []

    def exclude(query, word):
        asked.append((query, word))
        return False

    plain = mine_hard_negatives(pairs, store, 2, skip_top=1)
    assert mine_hard_negatives(pairs, store, 2, skip_top=1, exclude=exclude) == plain
    assert len(asked) == 3 * len(pairs)


def test_no_document_is_asked_about_twice():
    pairs = [SimilarityPairSample(query, document) for query, document in zip(WORDS[:30], WORDS[30:], strict=True)]
    asked = []

    def exclude(query, word):
        asked.append((query, word))
        return int(word[5:]) % 3 > 0

    mine_hard_negatives(pairs, EmbeddingStore.from_vectors(WORDS, vectors_of(WORDS)), 2, skip_top=2, exclude=exclude)
    assert len(asked) > 4 * len(pairs)
    assert len(asked) == len(set(asked))


def test_pairs_with_too_few_negatives_are_counted_in_a_warning(caplog):
    store = EmbeddingStore.from_vectors(["a", "b", "c", "d"], [[1, 0], [1, 0.1], [1, 0.05], [0, 1]])
    pairs = [SimilarityPairSample("a", "b"), SimilarityPairSample("c", "d")]
    with caplog.at_level(logging.WARNING):
        mined = mine_hard_negatives(pairs, store, 1, margin=0.5)
    assert [pair.negatives for pair in mined] == [["d"], []]
    assert "1 of 2 pairs got fewer than k=1 negatives, 1 of them none" in caplog.text


def test_what_is_mined_trains_a_loss():
    pairs = random_pairs(5, num_subgroups=40)
    vectors = vectors_of(WORDS, whole=False)
    mined = mine_hard_negatives(pairs, EmbeddingStore.from_vectors(WORDS, vectors), 3)
    ids, objects, labels = next(iter(PairsSimilarityDataLoader(mined, batch_size=len(mined))))
    embeddings = vectors[[WORDS.index(word) for word in objects]]
    targets = PairsSimilarityDataLoader.targets(ids, labels)
    with_them = MultipleNegativesRankingLoss().compute(embeddings, targets)
    without = MultipleNegativesRankingLoss().compute(embeddings, targets._replace(negatives=torch.empty(0, 2).long()))
    assert with_them.isfinite()
    assert len(targets.negatives) >= 3 * len(pairs) and with_them > 0 and without > 0


def test_the_given_pairs_stay_as_they_were():
    store = EmbeddingStore.from_vectors(WORDS, vectors_of(WORDS))
    pairs = random_pairs(0)
    before = [list(pair.negatives) for pair in pairs]
    mined = mine_hard_negatives(iter(pairs), store, 1)
    assert [list(pair.negatives) for pair in pairs] == before
    assert len(mined) == len(pairs)


# Groups


def group_samples(seed, count=80, num_groups=9):
    draw = random.Random(seed)
    return [SimilarityGroupSample(draw.choice(WORDS), f"group {draw.randrange(num_groups)}") for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_objects_of_groups_get_a_positive_of_their_group_and_the_nearest_of_other_groups(seed):
    samples = group_samples(seed, num_groups=20)
    vectors = vectors_of(WORDS, seed=seed)
    mined = mine_hard_negatives(
        samples, EmbeddingStore.from_vectors(WORDS, vectors), 3, distance_metric_name="dot_product", seed=seed
    )
    members = {}
    for sample in samples:
        members.setdefault(sample.group, []).append(sample.obj)
    groups_of = {word: {s.group for s in samples if s.obj == word} for word in WORDS}
    listed = list(dict.fromkeys(sample.obj for sample in samples))
    similarity = looked_up(vectors, "dot_product")
    expected_anchors = list(dict.fromkeys((s.obj, s.group) for s in samples if len(set(members[s.group])) > 1))
    assert [(pair.obj_a, pair.subgroup) for pair in mined] == expected_anchors
    for pair in mined:
        assert pair.obj_b in members[pair.subgroup] and pair.obj_b != pair.obj_a and pair.score == 1
        allowed = [word for word in listed if not groups_of[word] & groups_of[pair.obj_a]]
        assert pair.negatives == sorted(allowed, key=lambda word: -similarity(pair.obj_a, word))[:3]
    positives = {}
    for pair in mined:
        positives.setdefault(pair.subgroup, []).append(pair.obj_b)
    assert all(sorted(words) == sorted(set(members[group])) for group, words in positives.items())


def test_positives_are_drawn_with_the_seed():
    samples = group_samples(0)
    store = EmbeddingStore.from_vectors(WORDS, vectors_of(WORDS))
    first, again, other = (mine_hard_negatives(samples, store, 2, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert [pair.obj_b for pair in first] != [pair.obj_b for pair in other]


def test_objects_of_no_group_can_be_searched_too():
    store = EmbeddingStore.from_vectors(["a", "b", "c", "d", "e"], [[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.05]])
    samples = [SimilarityGroupSample(word, word in "ab") for word in "abcd"]
    mined = mine_hard_negatives(samples, store, 1, documents=["e"])
    assert [pair.negatives for pair in mined] == [["e"], ["e"], ["b"], ["b"]]


# Models


def test_a_model_encodes_each_distinct_object_once(model_of, encoder_of):
    vectors = dict(zip(WORDS, vectors_of(WORDS, seed=2).tolist(), strict=True))
    model = model_of(vectors).train()
    pairs = random_pairs(2)
    store = EmbeddingStore.from_vectors(WORDS, list(vectors.values()))
    by_store = mine_hard_negatives(pairs, store, 4, documents=WORDS[45:], margin=0.01)
    encoder = encoder_of(model)
    encoder.asked.clear()
    encoder.modes.clear()

    class Training(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

    assert mine_hard_negatives(pairs, Training(), 4, documents=WORDS[45:], margin=0.01, batch_size=7) == by_store
    used = {word for pair in pairs for word in (pair.obj_a, pair.obj_b)} | set(WORDS[45:])
    assert sorted(encoder.asked) == sorted(used)
    assert encoder.modes == {False} and model.training


def test_a_two_sided_model_encodes_queries_and_documents_with_their_own_heads(model_of):
    class Turned(EncoderHead):
        output_size = 3

        def transform(self, input_vectors):
            return input_vectors.roll(1, dims=1)

    model = model_of({"q": [1, 0, 0], "p": [0, 0, 1], "n": [0.1, 0, 0.9], "far": [1, 0, 0]}, Turned(3))
    pairs = [SimilarityPairSample("q", "p")]
    # As documents p and n lie at the first axis, where q is; by the query's head "far" would be the nearest.
    (pair,) = mine_hard_negatives(pairs, model, 1, documents=["far", "n"])
    assert pair.negatives == ["n"]


# What is refused


def store_of(**vectors):
    return EmbeddingStore.from_vectors(list(vectors), list(vectors.values()))


SMALL = store_of(a=[1.0, 0.0], b=[0.0, 1.0], c=[1.0, 1.0])
PAIRS = [SimilarityPairSample("a", "b"), SimilarityPairSample("b", "c")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, r"k=0; expected the number of negatives"),
        ({"k": 2.0}, r"k=2.0; expected the number of negatives"),
        ({"k": 2}, r"k=2 and skip_top=0 ask for 2 documents, but there are 2 distinct ones"),
        ({"k": 1, "skip_top": 1}, r"k=1 and skip_top=1 ask for 2 documents"),
        ({"k": 1, "skip_top": -1}, r"skip_top=-1; expected the number of nearest documents"),
        ({"k": 1, "margin": float("nan")}, r"margin=nan; expected a difference"),
        ({"k": 1, "margin": "0.1"}, r"margin='0.1'; expected a difference"),
        ({"k": 1, "relative_margin": 1.5}, r"relative_margin=1.5; expected a share in \[0, 1\]"),
        ({"k": 1, "distance_metric_name": "cosinus"}, r"unknown distance 'cosinus'"),
        ({"k": 1, "documents": ["d"]}, r"The store lacks 1 of 3 objects, the first is 'd'.*fill the store"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mine_hard_negatives(PAIRS, SMALL, **arguments)


def test_known_negatives_need_no_vector():
    pairs = [SimilarityPairSample("a", "b", negatives=["unknown"]), SimilarityPairSample("b", "c")]
    assert mine_hard_negatives(pairs, SMALL, 1)[0].negatives == ["unknown", "c"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"The data set is empty"),
        ([SimilarityPairSample("a", "b", score=0.5)], r"1 of 1 pairs have a score other than 1, the first is pair 0"),
        ([SimilarityGroupSample("a", 1), SimilarityGroupSample("b", 1)], r"All objects are of one group"),
        ([SimilarityGroupSample("a", 1), SimilarityGroupSample("b", 2)], r"Not one of 2 groups has two distinct"),
        ([SimilarityGroupSample("a", 1), SimilarityGroupSample("b", None)], r"Sample 1: A group is None"),
    ],
)
def test_data_that_cannot_be_mined_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        mine_hard_negatives(data, SMALL, 1)


@pytest.mark.parametrize("data", [["a"], [PAIRS[0], SimilarityGroupSample("a", 1)]])
def test_other_items_are_refused(data):
    with pytest.raises(TypeError, match=r"Item \d of the data set is a .*expected SimilarityPairSample for all or"):
        mine_hard_negatives(data, SMALL, 1)


def test_a_text_in_place_of_documents_is_refused():
    with pytest.raises(TypeError, match=r"documents='abc'; expected a list"):
        mine_hard_negatives(PAIRS, SMALL, 1, documents="abc")


def test_something_else_than_a_model_or_a_store_is_refused():
    with pytest.raises(TypeError, match=r"Cannot mine with a Linear; expected a SimilarityModel"):
        mine_hard_negatives(PAIRS, nn.Linear(1, 1), 1)


def test_embeddings_that_are_not_finite_are_refused(model_of):
    model = model_of({"a": [1, 0, 0], "b": [float("nan"), 0, 0], "c": [0, 1, 0]})
    with pytest.raises(ValueError, match=r"hold NaN or infinity"):
        mine_hard_negatives(PAIRS, model, 1)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_tiny_distances_are_told_apart(metric):
    words = ["query", "positive", "far", "near", "middle"]
    vectors = 1e-9 * torch.tensor([[0.0, 0], [1, 0], [9, 0], [0, 2], [5, 0]])
    store = EmbeddingStore.from_vectors(words, vectors)
    (pair,) = mine_hard_negatives(
        [SimilarityPairSample(*words[:2])], store, 2, documents=words[2:], distance_metric_name=metric
    )
    assert pair.negatives == ["near", "middle"]


def test_a_progress_bar_goes_to_standard_error_on_request(capsys):
    mine_hard_negatives(PAIRS, SMALL, 1)
    assert capsys.readouterr() == ("", "")
    mine_hard_negatives(PAIRS, SMALL, 1, log_progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "Searching" in err and f"{len(PAIRS)}/{len(PAIRS)}" in err


# The search itself


def test_memory_is_that_of_a_block(monkeypatch):
    shapes = []
    real = mining_search.nearness_blocks

    def spy(*arguments, **options):
        for samples, block in real(*arguments, **options):
            shapes.append(block.numel())
            yield samples, block

    monkeypatch.setattr(mining_search, "nearness_blocks", spy)
    pairs = random_pairs(0)
    store = EmbeddingStore.from_vectors(WORDS, vectors_of(WORDS))
    mine_hard_negatives(pairs, store, 2, max_entries=500)
    assert max(shapes) <= 500 and len(shapes) > 3
