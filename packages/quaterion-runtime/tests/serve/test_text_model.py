import numpy as np
import pytest

from quaterion_runtime import Model, RuntimeFolderError
from quaterion_runtime.serve.text_model import TextModel

TEXTS = ["a cat", "kitten", "", "a cat sleeps a kitten", "unknown words"]


@pytest.mark.parametrize("name", ["text", "two_sided", "switched"])
@pytest.mark.parametrize("side", ["query", "document"])
def test_a_batch_has_the_vectors_that_the_model_gives(golden, name, side):
    model = TextModel(golden / name)
    found = model.compute(model.group(side), model.tokenize(TEXTS, side))
    own = Model.load(golden / name)
    np.testing.assert_allclose(found, (own.encode_query if side == "query" else own.encode_document)(TEXTS), atol=1e-6)


def test_texts_that_were_prepared_apart_share_a_batch(golden):
    model = TextModel(golden / "two_sided")
    apart = [model.tokenize([text], "document")[0] for text in TEXTS]
    expected = Model.load(golden / "two_sided").encode_document(TEXTS)
    np.testing.assert_allclose(model.compute("document", apart), expected, atol=1e-6)


def test_tokens_are_counted_after_the_text_was_cut_and_with_the_special_ones(golden):
    counts = [one.count for one in TextModel(golden / "text").tokenize(["cat", "", "cat " * 100], "query")]
    assert counts == [3, 2, 6]
    assert [one.count for one in TextModel(golden / "two_sided").tokenize(["cat"], "document")] == [5]  # passage : cat


def test_sides_share_batches_where_the_graph_computes_both_alike(golden):
    assert TextModel(golden / "text").group("document") == "query"
    assert TextModel(golden / "two_sided").group("document") == "document"


def test_a_field_of_records_is_what_a_text_stands_for(folder_copy, edit):
    folder = folder_copy("text")
    expected = Model.load(folder).encode(TEXTS)
    for field in ("title", 1):
        edit(folder, "graphs", 0, "inputs", 0, "field", field)
        model = TextModel(folder)
        np.testing.assert_allclose(model.compute("query", model.tokenize(TEXTS, "query")), expected, atol=1e-6)


def test_models_that_take_something_else_are_refused(golden, folder_copy, edit):
    with pytest.raises(RuntimeFolderError, match="takes numbers with text; only models that take text alone"):
        TextModel(golden / "joined")
    folder = folder_copy("switched")
    edit(folder, "graphs", 0, "accepts", "vector")
    with pytest.raises(RuntimeFolderError, match="takes text or images; only models"):
        TextModel(folder)
