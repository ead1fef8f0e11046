"""Exported models, against what their graphs are known to compute."""

import inspect
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from quaterion_runtime import Model, RuntimeFolderError, quantize

TEXTS = ["a cat", "a kitten sleeps", "cat", "Sleeps a cat sleeps", "cat cat cat cat cat cat cat", "", "unknown words"]


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_text_is_tokenised_padded_and_given_back_in_its_order(golden, mean_of):
    model = Model.load(golden / "text")
    expected = np.stack([unit(mean_of(text)) for text in TEXTS])
    for batch_size in (1, 2, 3, 100):
        np.testing.assert_allclose(model.encode(TEXTS, batch_size), expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_of_any_size_give_the_same(golden, mean_of, monkeypatch, chunk):
    model = Model.load(golden / "text")
    expected = np.stack([unit(mean_of(text)) for text in TEXTS])
    monkeypatch.setattr("quaterion_runtime.model.CHUNK", chunk)
    np.testing.assert_allclose(model.encode(TEXTS, 2), expected, atol=1e-6)
    chunks = list(model.encode_stream(iter(TEXTS), batch_size=2, chunk_size=chunk))
    np.testing.assert_allclose(np.concatenate([one.vectors for one in chunks]), expected, atol=1e-6)
    assert np.concatenate([one.positions for one in chunks]).tolist() == list(range(len(TEXTS)))
    assert max(len(one.positions) for one in chunks) == min(chunk, len(TEXTS))


def test_a_stream_reads_no_further_than_the_chunk_that_is_asked_for(golden):
    read = []

    def objects():
        for number in range(100):
            read.append(number)
            yield "cat"

    stream = Model.load(golden / "text").encode_stream(objects(), chunk_size=3)
    assert read == []
    next(stream)
    assert len(read) == 3


def test_one_object_gives_one_row_and_none_give_none(golden):
    model = Model.load(golden / "text")
    assert model.encode("a cat").shape == (1, 4)
    assert model.encode(np.array(["a", "cat"])).shape == (2, 4)
    assert model.encode([]).shape == (0, 4)
    assert model.encode([], precision="binary").shape == (0, 1)
    assert list(model.encode_stream([])) == []


def test_queries_and_documents_have_prompts_and_outputs_of_their_own(golden, mean_of):
    model = Model.load(golden / "two_sided")
    assert model.two_sided
    texts = ["cat", "a cat sleeps"]
    queries = [mean_of(f"query: {text}") for text in texts]
    documents = [2 * mean_of(f"passage: {text}") for text in texts]
    np.testing.assert_allclose(model.encode(texts), queries, atol=1e-6)
    np.testing.assert_allclose(model.encode_query(texts), queries, atol=1e-6)
    np.testing.assert_allclose(model.encode_document(texts), documents, atol=1e-6)
    (chunk,) = model.encode_stream(texts, side="document")
    np.testing.assert_allclose(chunk.vectors, documents, atol=1e-6)


def test_each_input_of_a_joined_graph_picks_its_field(golden, mean_of):
    model = Model.load(golden / "joined")
    records = [{"title": "a cat", "numbers": [1, 2.5]}, {"title": "kitten", "numbers": np.array([-3.0, 0.0])}]
    expected = np.stack([[*mean_of("a cat"), 1, 2.5], [*mean_of("kitten"), -3, 0]])
    np.testing.assert_allclose(model.encode(records), expected, atol=1e-6)


def test_each_kind_of_object_goes_to_its_own_graph(golden, mean_of, tmp_path):
    image = Image.new("RGB", (12, 9), (255, 51, 0))
    image.save(tmp_path / "image.png")
    channels = np.array([(1 - 0.5) / 0.5, 0.2 - 0.25, 0.0])
    pixels = [*channels, channels.mean()]
    model = Model.load(golden / "switched")
    objects = [image, "a cat", tmp_path / "image.png", np.asarray(image), (tmp_path / "image.png").read_bytes()]
    vectors = model.encode(objects, 2)
    np.testing.assert_allclose(vectors[1], mean_of("a cat"), atol=1e-6)
    np.testing.assert_allclose(vectors[[0, 2, 3, 4]], [pixels] * 4, atol=1e-6)
    with pytest.raises(TypeError, match="the model takes text or image, got int at position 1"):
        model.encode(["a cat", 3])


def test_components_that_are_cut_off_leave_vectors_of_length_1(golden, mean_of):
    model = Model.load(golden / "text")
    assert (model.dimensions, Model.load(golden / "joined").dimensions) == ((4, 2), None)
    expected = unit(unit(mean_of("a cat"))[:2])
    np.testing.assert_allclose(model.encode("a cat", dimensions=2), [expected], atol=1e-6)
    with pytest.raises(ValueError, match=r"trained for the dimensions \[4, 2\], got 3"):
        model.encode("a cat", dimensions=3)
    for wrong in (0, 5, 2.0, True):
        with pytest.raises(ValueError, match=rf"dimensions must lie in 1\.\.4, got {wrong}"):
            model.encode("a cat", dimensions=wrong)


def test_normalize_scales_the_vectors_of_a_model_that_does_not(golden, mean_of):
    model = Model.load(golden / "two_sided")
    expected = unit(mean_of("passage: cat"))
    np.testing.assert_allclose(model.encode_document("cat", normalize=True), [expected], atol=1e-6)
    raw = model.encode_document("cat", dimensions=3)
    np.testing.assert_allclose(raw, [2 * mean_of("passage: cat")[:3]], atol=1e-6)


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_a_precision_is_that_of_quantize(golden, precision):
    model = Model.load(golden / "text")
    expected = quantize(model.encode(TEXTS), precision)
    assert (model.encode(TEXTS, precision=precision) == expected).all()
    chunks = model.encode_stream(TEXTS, chunk_size=2, precision=precision)
    assert (np.concatenate([chunk.vectors for chunk in chunks]) == expected).all()
    with pytest.raises(ValueError, match=r"precision must be one of \['float32', 'int8', 'binary'\], got 'int4'"):
        model.encode(TEXTS, precision="int4")


@pytest.mark.parametrize(
    ("objects", "error", "message"),
    [
        (["a", 3], TypeError, "the model takes text, got int at position 1"),
        ([b"a"], TypeError, "got bytes at position 0"),
        (iter(["a"]), TypeError, r"pass list\(\.\.\.\) of it, or use encode_stream"),
        ({"a"}, TypeError, "got set"),
    ],
)
def test_objects_that_the_model_does_not_take_are_named(golden, objects, error, message):
    with pytest.raises(error, match=message):
        Model.load(golden / "text").encode(objects)


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([{"title": "a", "numbers": [1, 2]}, {"title": "a"}], ValueError, "position 1 has no field 'numbers'"),
        ([{"title": "a", "numbers": [1, 2, 3]}], ValueError, r"arrays of shape \[2\], got \[3\] at position 0"),
        ([{"title": "a", "numbers": [1, float("nan")]}], ValueError, "position 0 has NaN or infinite values"),
        ([{"title": "a", "numbers": ["1", "2"]}], TypeError, r"takes arrays \[2\] of float32, got list at position 0"),
        ([{"title": "a", "numbers": [[1], [1, 2]]}], TypeError, "got list at position 0"),
        ([{"title": None, "numbers": [1, 2]}], TypeError, "takes text, got NoneType at position 0"),
        (["a text"], ValueError, "has no field 'title', it has the type str"),
    ],
)
def test_records_that_do_not_fit_are_named(golden, records, error, message):
    with pytest.raises(error, match=message):
        Model.load(golden / "joined").encode(records)


def test_an_image_that_cannot_be_read_is_named(golden, tmp_path):
    model = Model.load(golden / "switched")
    (tmp_path / "text.png").write_text("no image")
    whole = tmp_path / "whole.png"
    Image.effect_noise((50, 50), 50).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-500])
    for name in ("text.png", "cut.png", "missing.png"):
        with pytest.raises(ValueError, match=rf"the image .*{name}' at position 1 cannot be read"):
            model.encode([whole, tmp_path / name])
    with pytest.raises(ValueError, match="the image at position 0 cannot be read"):
        model.encode([b"no image"])


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_sizes_that_are_no_counts_are_refused(golden, wrong):
    model = Model.load(golden / "text")
    with pytest.raises(ValueError, match="batch_size must be a whole number of 1 or more"):
        model.encode("a", batch_size=wrong)
    with pytest.raises(ValueError, match="chunk_size must be a whole number of 1 or more"):
        model.encode_stream(["a"], chunk_size=wrong)


def test_other_arguments_out_of_range_are_refused(golden):
    with pytest.raises(ValueError, match="threads must be a whole number of 1 or more, got 0"):
        Model.load(golden / "text", threads=0)
    model = Model.load(golden / "text")
    with pytest.raises(ValueError, match='side must be "query", "document" or None, got \'left\''):
        model.encode_stream(["a"], side="left")
    with pytest.raises(ValueError, match='on_error must be "raise" or "skip", got \'ignore\''):
        model.encode_stream(["a"], on_error="ignore")
    with pytest.raises(TypeError, match="takes an iterable of objects, got one object of type str"):
        model.encode_stream("a")


def test_threads_may_share_a_model(golden, mean_of):
    model, wrong = Model.load(golden / "text", threads=1), []

    def work(text):
        for _ in range(50):
            if not np.allclose(model.encode([text, "a cat"])[0], unit(mean_of(text)), atol=1e-6):
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(text,)) for text in TEXTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_process_that_encodes_imports_neither_torch_nor_transformers(golden):
    code = f"""
import sys
from quaterion_runtime import Model
assert Model.load({str(golden / "text")!r}).encode("a cat").shape == (1, 4)
heavy = {{"torch", "transformers", "sentence_transformers", "quaterion", "quaterion_models", "PIL", "rich"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_progress_bar_is_shown_on_request(golden, capsys):
    Model.load(golden / "text").encode(TEXTS, show_progress=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capsys.readouterr().err


def test_a_stream_leaves_out_what_cannot_be_read(golden, mean_of, tmp_path):
    image = np.full((8, 8, 3), 255, dtype=np.uint8)
    objects = ["cat", b"no image", "\ud800", None, image, "a cat", tmp_path / "missing.png"]
    model = Model.load(golden / "switched")
    chunks = list(model.encode_stream(iter(objects), chunk_size=4, batch_size=2, on_error="skip"))
    assert [chunk.positions.tolist() for chunk in chunks] == [[0], [4, 5]]
    np.testing.assert_allclose(chunks[0].vectors, [mean_of("cat")], atol=1e-6)
    np.testing.assert_allclose(chunks[1].vectors, [model.encode([image])[0], mean_of("a cat")], atol=1e-6)
    assert [[one.position for one in chunk.skipped] for chunk in chunks] == [[1, 2, 3], [6]]
    reasons = [reason for chunk in chunks for _, reason in chunk.skipped]
    expected = ["no format of images", "surrogate pair", "TypeError: the model takes text or image", "no such file"]
    assert all(words in reason for words, reason in zip(expected, reasons, strict=True))
    with pytest.raises(ValueError, match="at position 1 cannot be read"):
        list(model.encode_stream(objects[:2]))


def test_a_chunk_of_which_nothing_can_be_read_has_no_vectors(golden):
    (chunk,) = Model.load(golden / "text").encode_stream([1, 2], on_error="skip", precision="binary")
    assert chunk.vectors.shape == (0, 1)
    assert chunk.vectors.dtype == np.uint8
    assert chunk.positions.tolist() == []
    assert [one.position for one in chunk.skipped] == [0, 1]


def test_errors_of_the_model_are_never_those_of_an_object(folder_copy, edit):
    folder = folder_copy("text")
    edit(folder, "embedding_size", 3)
    edit(folder, "dimensions", None)
    with pytest.raises(RuntimeFolderError, match=r"expected float32 \[1, 3\]"):
        list(Model.load(folder).encode_stream(["cat"], on_error="skip"))


def test_what_a_generator_raises_comes_through_after_the_chunks_before(golden):
    def texts():
        yield from ["cat"] * 3
        raise OSError("the file has gone")

    stream = Model.load(golden / "text").encode_stream(texts(), chunk_size=2)
    assert next(stream).positions.tolist() == [0, 1]
    with pytest.raises(OSError, match="the file has gone"):
        next(stream)


@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_the_result_is_kept_once(golden, precision, monkeypatch):
    import tracemalloc

    monkeypatch.setattr("quaterion_runtime.model.CHUNK", 500)
    model = Model.load(golden / "joined", threads=1)
    objects = [{"title": "cat", "numbers": (1, 2)}] * 40_000
    model.encode(objects[:500])
    tracemalloc.start()
    try:
        vectors = model.encode(objects, 500, precision=precision)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < vectors.nbytes + 600_000  # and what one chunk needs


def test_the_arguments_are_those_of_the_model_that_was_exported():
    models = pytest.importorskip("quaterion_models")
    of_torch = {"to_numpy", "devices"}
    for name in ("encode", "encode_query", "encode_document", "encode_stream"):
        theirs = inspect.signature(getattr(models.SimilarityModel, name)).parameters
        ours = inspect.signature(getattr(Model, name)).parameters
        assert theirs.keys() - ours.keys() <= of_torch
        for key in theirs.keys() & ours.keys():
            assert (ours[key].kind, ours[key].default) == (theirs[key].kind, theirs[key].default)


def test_a_program_starts_in_half_a_second():
    code = "import time; start = time.process_time(); import quaterion_runtime; print(time.process_time() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.5
