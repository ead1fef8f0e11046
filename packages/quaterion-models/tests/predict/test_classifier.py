"""Telling groups by examples, by class weights and by both, against formulas written out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from quaterion_models import SimilarityModel
from quaterion_models.predict import Classifier, knn_vote

LABELS = ["cat", "dog", 7]
Make = Callable[..., SimilarityModel]


def data(rows: int, seed: int) -> tuple[list[list[float]], list[object]]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 4, generator=generator)
    return vectors.tolist(), [LABELS[row % 3] for row in range(rows)]


def embedded(model: SimilarityModel, objects: list[list[float]]) -> Tensor:
    vectors: Tensor = model.encode(objects, to_numpy=False)
    return vectors


def votes(model: SimilarityModel, examples: list[list[float]], queries: list[list[float]], k: int, t: float) -> Tensor:
    similarities = normalize(embedded(model, queries)) @ normalize(embedded(model, examples)).T
    found = similarities.topk(k, dim=1)
    groups = torch.arange(len(examples)) % 3
    return knn_vote(found.values, groups[found.indices], 3, t)


def test_examples_vote(vector_model: Make) -> None:
    model, (examples, labels), (queries, _) = vector_model(4), data(60, 0), data(10, 1)
    classifier = Classifier.from_examples(model, examples, labels, k=7, temperature=0.1)
    expected = votes(model, examples, queries, 7, 0.1)
    assert classifier.labels == LABELS
    assert torch.allclose(classifier.probabilities(embedded(model, queries)), expected, atol=1e-5)
    for prediction, row in zip(classifier.classify(queries), expected, strict=True):
        assert prediction.label == LABELS[int(row.argmax())]
        assert prediction.confidence == pytest.approx(float(row.max()), abs=1e-5)


def test_the_similarity_is_that_of_the_nearest_example_and_the_threshold_is_its_least_one(vector_model: Make) -> None:
    model, (examples, labels), (queries, _) = vector_model(4), data(30, 0), data(10, 1)
    plain = Classifier.from_examples(model, examples, labels)
    nearest = (normalize(embedded(model, queries)) @ normalize(embedded(model, examples)).T).amax(dim=1)
    similarities = [prediction.similarity for prediction in plain.classify(queries)]
    assert similarities == pytest.approx(nearest.tolist(), abs=1e-6)
    threshold = sorted(similarities)[4]  # an object of exactly that similarity stays
    strict = plain.replace(threshold=threshold)
    for before, after in zip(plain.classify(queries), strict.classify(queries), strict=True):
        assert after.label == (None if before.similarity < threshold else before.label)
        assert after[1:] == before[1:]
    assert sum(prediction.label is None for prediction in strict.classify(queries)) == 4


def test_a_query_gets_the_same_alone_and_among_others(vector_model: Make) -> None:
    model, (examples, labels), (queries, _) = vector_model(4), data(500, 0), data(50, 1)
    classifier = Classifier.from_examples(model, examples, labels)
    vectors = embedded(model, queries)
    together = classifier.classify_embeddings(vectors)
    assert [classifier.classify_embeddings(vectors[row : row + 1])[0] for row in range(50)] == together


@pytest.mark.parametrize("cosine", [True, False])
def test_class_weights_alone_give_the_softmax_of_their_similarities(vector_model: Make, cosine: bool) -> None:
    model = vector_model(4, classes=["dog", None, 7, "cat"], cosine=cosine)
    queries, _ = data(10, 1)
    classifier = Classifier(model, LABELS, method="weights", weights_temperature=0.2)
    weights, vectors = model.class_weights.weights[[3, 0, 2]], embedded(model, queries)  # type: ignore[union-attr]
    if cosine:
        weights, vectors = normalize(weights), normalize(vectors)
    similarities = vectors @ weights.T
    found = classifier.probabilities(embedded(model, queries))
    assert torch.allclose(found, (similarities / 0.2).softmax(dim=1), atol=1e-5)
    assert [one.similarity for one in classifier.classify(queries)] == pytest.approx(
        similarities.amax(dim=1).tolist(), abs=1e-5
    )


def test_both_is_the_mean(vector_model: Make) -> None:
    model, (examples, labels), (queries, _) = vector_model(4, classes=LABELS), data(60, 0), data(10, 1)
    vectors = embedded(model, queries)
    both = Classifier.from_examples(model, examples, labels, method="both", weights_temperature=0.3)
    weights = Classifier(model, LABELS, method="weights", weights_temperature=0.3)
    expected = (votes(model, examples, queries, 10, 0.05) + weights.probabilities(vectors)) / 2
    assert torch.allclose(both.probabilities(vectors), expected, atol=1e-5)
    assert (
        both.nearest_similarities(vectors).tolist() == both.replace(method="knn").nearest_similarities(vectors).tolist()
    )


def test_both_knows_groups_that_only_class_weights_know(vector_model: Make) -> None:
    model, (examples, labels) = vector_model(4, classes=[*LABELS, "fish", None]), data(30, 0)
    both = Classifier.from_examples(model, examples, labels, method="both")
    assert both.labels == [*LABELS, "fish"]
    assert Classifier.from_examples(model, examples, labels).labels == LABELS


def test_added_groups_keep_their_votes_and_class_weights_share_out_the_rest(vector_model: Make) -> None:
    model, (examples, labels), (queries, _) = vector_model(4, classes=LABELS), data(30, 0), data(10, 1)
    old = Classifier.from_examples(model, examples, labels, method="both", threshold=0.5)
    new = old.add_examples([[9.0, -9.0, 9.0, -9.0], [8.0, -9.0, 9.0, -9.0]], ["bird", "cat"])
    assert new.labels == [*LABELS, "bird"]
    assert (old.labels, len(old.examples), new.threshold) == (LABELS, 30, 0.5)  # type: ignore[arg-type]
    assert new.groups.tolist()[-2:] == [3, 0]  # type: ignore[union-attr]
    vectors = embedded(model, queries)
    knn = new.replace(method="knn").probabilities(vectors)
    weights = Classifier(model, LABELS, method="weights").probabilities(vectors)
    rest = 1 - knn[:, 3:]
    expected = torch.cat([(knn[:, :3] + rest * weights) / 2, knn[:, 3:]], dim=1)
    assert torch.allclose(new.probabilities(vectors), expected, atol=1e-5)
    assert torch.allclose(expected.sum(dim=1), torch.ones(10), atol=1e-5)
    assert new.classify([[9.0, -9.0, 9.0, -9.0]])[0].label == "bird"


def test_hiding_the_own_group_equals_a_classifier_without_it(vector_model: Make) -> None:
    model, (examples, labels), (queries, own) = vector_model(4, classes=LABELS), data(30, 0), data(9, 1)
    groups, vectors = torch.arange(9) % 3, embedded(model, queries)
    knn = Classifier.from_examples(model, examples, labels)
    weights = Classifier(model, LABELS, method="weights")
    for row in range(9):
        others = [(vector, label) for vector, label in zip(examples, labels, strict=True) if label != own[row]]
        without = Classifier.from_examples(model, [vector for vector, _ in others], [label for _, label in others])
        alone = Classifier(model, [label for label in LABELS if label != own[row]], method="weights")
        for whole, part in ((knn, without), (weights, alone)):
            hidden = whole.similarities_without_own(vectors, groups)[row]
            expected = part.nearest_similarities(vectors[row : row + 1])[0]
            assert float(hidden) == pytest.approx(float(expected), abs=1e-6)


def test_what_is_passed_in_is_not_changed(vector_model: Make) -> None:
    model, (examples, labels) = vector_model(4), data(30, 0)
    embeddings = embedded(model, examples)
    before = embeddings.clone()
    classifier = Classifier.from_embeddings(model, embeddings, labels)
    classifier.classify_embeddings(embeddings)
    assert torch.equal(embeddings, before)


def test_no_object_gives_no_prediction(vector_model: Make) -> None:
    assert Classifier.from_examples(vector_model(), [[1.0, 0.0]], ["a"]).classify([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be an integer of at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must be a number above 0"),
        ({"weights_temperature": True}, "weights_temperature must be a number above 0"),
        ({"method": "vote"}, 'method must be "knn", "weights" or "both", got \'vote\''),
        ({"threshold": float("nan")}, "threshold must be a similarity, such as 0.6, or None, got nan"),
        ({"method": "both"}, "method='both' needs class weights, and the model has none"),
        ({"examples": None}, r"method='knn' needs labelled examples"),
        ({"groups": torch.tensor([0, 2])}, "groups must be places among the 2 labels, from 0 to 1, got 0 to 2"),
        (
            {"groups": torch.tensor([0])},
            r"expected the group of each of 2 examples, int64 \[2\], got torch.int64 \[1\]",
        ),
        ({"labels": ["a", "a"]}, "each once and none of them None"),
        ({"labels": ["a", None]}, "each once and none of them None"),
        ({"labels": ["a", ["b"]]}, "labels must be plain values"),
    ],
)
def test_what_does_not_fit_is_refused(vector_model: Make, options: dict[str, object], message: str) -> None:
    arguments = {"labels": ["a", "b"], "examples": torch.eye(2), "groups": torch.tensor([0, 1])}
    with pytest.raises(ValueError, match=message):
        Classifier(vector_model(), **{**arguments, **options})  # type: ignore[arg-type]


def test_labels_without_class_weights_are_refused(vector_model: Make) -> None:
    with pytest.raises(ValueError, match="no class weights for 1 of 2 labels, 'b' among them"):
        Classifier(vector_model(2, classes=["a", "c"]), ["a", "b"], method="weights")


def test_labels_and_examples_must_be_as_many(vector_model: Make) -> None:
    with pytest.raises(ValueError, match="got 1 examples and 2 labels"):
        Classifier.from_examples(vector_model(), [[1.0, 0.0]], ["a", "b"])


def test_class_weights_alone_cannot_learn(vector_model: Make) -> None:
    classifier = Classifier(vector_model(2, classes=["a", "b"]), ["a", "b"], method="weights")
    with pytest.raises(ValueError, match="cannot learn from examples, because class weights come from training alone"):
        classifier.add_examples([[1.0, 0.0]], ["c"])
    with pytest.raises(ValueError, match="has no examples: it tells groups by class weights alone"):
        classifier.nearest_examples(torch.eye(2), 1)


def test_weights_that_the_method_does_not_use_are_refused(vector_model: Make) -> None:
    classifier = Classifier.from_examples(vector_model(), [[1.0, 0.0]], ["a"])
    with pytest.raises(ValueError, match="method='knn' uses no class weights"):
        classifier.weight_similarities(torch.eye(2))


def test_an_unknown_label_is_named(vector_model: Make) -> None:
    with pytest.raises(ValueError, match="does not know the label 'x'; it knows 1, 'a' among them"):
        Classifier.from_examples(vector_model(), [[1.0, 0.0]], ["a"]).label_places(["a", "x"])
