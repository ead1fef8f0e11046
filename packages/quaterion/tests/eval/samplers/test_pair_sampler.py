import pytest
import torch

from quaterion.dataset import SimilarityGroupSample, SimilarityPairSample
from quaterion.eval.samplers import PairSampler
from quaterion_models.heads import EmptyHead

VECTORS = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1], "d": [1, 1, 0], "e": [0, 1, 1]}


class Negated(EmptyHead):
    """Tells documents from queries in a test."""

    def transform(self, input_vectors):
        return -input_vectors


def quiet(**options):
    return PairSampler(log_progress=False, **options)


DATA = [
    SimilarityPairSample("a", "b"),
    SimilarityPairSample("c", "b", score=0.0, negatives=["e", "a"]),
    SimilarityPairSample("a", "d", negatives=["e"]),
]


def test_rows_are_the_first_objects_then_the_second_then_the_negatives(model_of, encoder_of):
    model = model_of(VECTORS)
    task = quiet().task(DATA, model)
    assert task.candidates.tolist() == [VECTORS[text] for text in "acabbdeae"]
    assert sorted(encoder_of(model).asked) == list("abcde")  # one side: each once, whichever side it came from
    assert task.own_rows.tolist() == [0, 1, 2, 3, 4, 5]
    # "a" goes with both "b", with "d", and with the two other "a"; "c" with nothing; "b" and "d" with all "a".
    assert task.num_relevant.tolist() == [5, 0, 5, 4, 4, 3]
    relevant = task.relevant(torch.tensor([0]))[0].tolist()
    assert [text for text, marked in zip("acabbdeae", relevant, strict=True) if marked] == list("aabbda")


def test_sides_are_encoded_by_the_heads_of_their_own(model_of, encoder_of):
    model = model_of(VECTORS, document_head=Negated(3))
    task = quiet().task(DATA, model)
    assert task.candidates[:3].tolist() == [VECTORS[text] for text in "aca"]
    assert task.candidates[3:].tolist() == [[-x for x in VECTORS[text]] for text in "bbdeae"]
    assert sorted(encoder_of(model).asked) == sorted("ac" + "bdea")  # each once for each side it is on


def test_distinguished_first_objects_search_the_second_ones_and_the_negatives(model_of):
    task = quiet(distinguish=True).task(DATA, model_of(VECTORS))
    assert task.queries.tolist() == [VECTORS[text] for text in "aca"]
    assert task.candidates.tolist() == [VECTORS[text] for text in "bbdeae"]
    assert task.own_rows is None
    assert task.num_relevant.tolist() == [4, 0, 4]  # both "b", "d" and the "a" among the negatives


def test_further_documents_are_searched_by_all_and_queries_of_none(model_of, encoder_of):
    model = model_of(VECTORS, document_head=Negated(3))
    task = quiet(distinguish=True, documents=["c", "b", "e", "c"]).task(DATA, model)
    assert task.queries.tolist() == [VECTORS[text] for text in "aca"]
    assert task.candidates.tolist() == [[-x for x in VECTORS[text]] for text in "bbdeaec"]  # "c" alone is new, once
    assert task.num_relevant.tolist() == [4, 1, 4]  # "c" is relevant to its equal
    assert sorted(encoder_of(model).asked) == sorted("ac" + "bdeac")
    everything = quiet(documents=["c", "b"]).task(DATA, model)
    assert everything.own_rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(everything.candidates) == 10


def test_further_documents_are_part_of_what_the_data_is(model_of):
    digests = [
        quiet(distinguish=True, **options).task(DATA, model_of(VECTORS)).data
        for options in ({}, {"documents": []}, {"documents": ["c"]}, {"documents": ["d"]})
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_text_is_no_list_of_documents():
    with pytest.raises(TypeError, match=r"documents is the text 'a document'; expected a list of objects"):
        quiet(documents="a document")


def test_objects_of_unreadable_content_all_differ(model_of):
    class Opaque:
        def __hash__(self):
            return 0

        def __eq__(self, other):
            return True

    objects = [Opaque() for _ in range(3)]

    class AllEqual(dict):
        def __getitem__(self, key):
            return [1.0, 0.0, 0.0]

    data = [SimilarityPairSample(objects[0], objects[1]), SimilarityPairSample(objects[2], objects[0])]
    assert quiet().task(data, model_of(AllEqual())).num_relevant.tolist() == [1, 1, 1, 1]


def test_a_group_sample_is_refused_with_its_place(model_of):
    with pytest.raises(
        TypeError, match=r"Item 0 of the data set is a SimilarityGroupSample; expected a SimilarityPair"
    ):
        quiet().task([SimilarityGroupSample("a", 1)], model_of(VECTORS))
