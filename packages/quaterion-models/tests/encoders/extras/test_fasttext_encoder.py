import json
import os
import pickle

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders.extras.fasttext_encoder import FasttextEncoder
from quaterion_models.encoders.extras.word_vector_files import read_word_vectors
from quaterion_models.heads import EmptyHead, GatedHead
from quaterion_models.saving.files import ModelFolderError

TEXTS = ["hot water", "größe", "", "  ", "hot hot ice"]


class Letters(FasttextEncoder):
    @classmethod
    def get_tokens(cls, batch):
        return [list(text) for text in batch]


def encode(encoder, texts):
    return encoder(encoder.get_collate_fn()(texts))


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("aggregations", [["avg"], ["max", "min"], ["min", "avg", "max"]])
def test_words_are_aggregated_and_joined_in_order(fasttext_bin, on_disk, aggregations):
    words = read_word_vectors(fasttext_bin, on_disk=False)
    encoder = FasttextEncoder(fasttext_bin, on_disk, aggregations)
    assert encoder.embedding_size == 3 * len(aggregations) and not encoder.trainable
    functions = {"avg": np.mean, "min": np.min, "max": np.max}
    for text, vector in zip(TEXTS, encode(encoder, TEXTS), strict=True):
        known = [words.vector(word) for word in text.split()] or [np.zeros(3)]
        expected = [value for name in aggregations for value in functions[name](np.array(known), axis=0)]
        np.testing.assert_allclose(vector, expected, rtol=1e-6)


def test_words_without_a_vector_are_left_out(tmp_path):
    (tmp_path / "a.vec").write_text("2 2\nhot 1 2\nice 3 6\n")
    encoder = FasttextEncoder(tmp_path / "a.vec")
    assert encode(encoder, ["hot unknown ice", "unknown"]).tolist() == [[2.0, 4.0], [0.0, 0.0]]


def test_a_subclass_may_split_otherwise(fasttext_bin):
    letters = Letters(fasttext_bin)
    assert pickle.loads(pickle.dumps(letters.get_collate_fn()))(["ab"]) == [["a", "b"]]
    torch.testing.assert_close(encode(letters, ["ab"]), encode(FasttextEncoder(fasttext_bin), ["a b"]))
    assert letters.fingerprint() != FasttextEncoder(fasttext_bin).fingerprint()


def test_the_fingerprint_covers_file_and_settings(fasttext_bin, fasttext_bytes, tmp_path):
    (tmp_path / "other.bin").write_bytes(fasttext_bytes(maxn=3))
    same = {FasttextEncoder(fasttext_bin, on_disk).fingerprint() for on_disk in (False, True)}
    others = {
        FasttextEncoder(fasttext_bin, aggregations=["min"]).fingerprint(),
        FasttextEncoder(fasttext_bin, aggregations=["avg", "min"]).fingerprint(),
        FasttextEncoder(fasttext_bin, aggregations=["min", "avg"]).fingerprint(),
        FasttextEncoder(tmp_path / "other.bin").fingerprint(),
    }
    assert len(same) == 1 and len(others) == 4 and not same & others


def test_a_mapped_file_that_is_changed_in_place_is_named(fasttext_bin, tmp_path):
    encoder = FasttextEncoder(fasttext_bin, on_disk=True)
    in_memory = FasttextEncoder(fasttext_bin)
    with fasttext_bin.open("r+b") as file:
        file.seek(200)
        file.write(bytes(4))
    os.utime(fasttext_bin, ns=(0, 0))
    for use in (encoder.fingerprint, lambda: encoder.save(tmp_path / "folder")):
        with pytest.raises(ValueError, match=r"model\.bin was changed while it was in use"):
            use()
    assert in_memory.fingerprint() != FasttextEncoder(fasttext_bin).fingerprint()


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_file_that_another_one_replaces_leaves_the_encoder_as_it_is(fasttext_bin, fasttext_bytes, tmp_path, on_disk):
    encoder = FasttextEncoder(fasttext_bin, on_disk)
    expected = encode(encoder, TEXTS)
    (tmp_path / "new.bin").write_bytes(fasttext_bytes(maxn=3))
    (tmp_path / "new.bin").replace(fasttext_bin)
    assert encoder.fingerprint() != FasttextEncoder(fasttext_bin, on_disk).fingerprint()
    encoder.save(tmp_path / "folder")
    for vectors in (encode(encoder, TEXTS), encode(FasttextEncoder.load(tmp_path / "folder"), TEXTS)):
        assert torch.equal(vectors, expected)


@pytest.mark.parametrize("on_disk", [False, True])
def test_is_saved_and_loaded_within_a_model_that_needs_no_other_file(fasttext_bin, tmp_path, on_disk):
    model = SimilarityModel(FasttextEncoder(fasttext_bin, on_disk, ["avg", "max"]), GatedHead(6))
    model.save(tmp_path / "model")
    expected = model.encode(TEXTS)
    fasttext_bin.unlink()
    loaded = SimilarityModel.load(tmp_path / "model")
    assert np.array_equal(loaded.encode(TEXTS), expected)
    loaded.save(tmp_path / "model")  # over the files that it may have mapped
    loaded.save(tmp_path / "model")
    again = SimilarityModel.load(tmp_path / "model")
    assert np.array_equal(again.encode(TEXTS), expected)
    assert again.encoders["default"].fingerprint() == loaded.encoders["default"].fingerprint()
    folder = tmp_path / "model" / "encoders" / "default"
    torch.testing.assert_close(encode(FasttextEncoder(folder), TEXTS), encode(FasttextEncoder(folder, True), TEXTS))


def test_vectors_take_the_models_precision(fasttext_bin):
    assert SimilarityModel(FasttextEncoder(fasttext_bin), EmptyHead(3)).half().encode(TEXTS).dtype == np.float16


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", ["words.npy", "vectors.npy", "ngrams.npy"])
@pytest.mark.parametrize("kind", ["a pickle", "an array of objects", "missing", "huge", "another shape"])
def test_a_damaged_or_hostile_folder_is_refused_and_nothing_is_unpickled(
    fasttext_bin, tmp_path, monkeypatch, name, kind
):
    monkeypatch.chdir(tmp_path)
    FasttextEncoder(fasttext_bin).save(tmp_path / "encoder")
    file = tmp_path / "encoder" / name
    if kind == "a pickle":
        file.write_bytes(pickle.dumps(Bomb()))
    elif kind == "an array of objects":
        np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)
    elif kind == "missing":
        file.unlink()
    elif kind == "huge":
        content = file.read_bytes()
        file.write_bytes(content[:60] + content[60:118].replace(b"(", b"(9999999999, ")[:58] + content[118:])
    else:
        np.save(file, np.zeros((2, 3, 4), np.float32))
    with pytest.raises(ModelFolderError, match=r"npy|which do not fit"):
        FasttextEncoder.load(tmp_path / "encoder")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["args"].update(ngram_lengths=[1]), "'ngram_lengths' must be two small numbers"),
        (lambda c: c["args"].update(ngram_lengths=[1, 10**9]), "'ngram_lengths' must be two small numbers"),
        (lambda c: c["args"].update(ngram_lengths="x"), "'ngram_lengths' must be list"),
        (lambda c: c["args"].update(aggregations=["sum"]), "aggregations must be a list of 'avg', 'min', 'max'"),
        (lambda c: c["args"].update(aggregations=[{}]), "cannot be built"),
        (lambda c: c["args"].update(on_disk=1), "'on_disk' must be bool"),
        (lambda c: c.pop("args"), "'args' must be dict"),
    ],
)
def test_damaged_configurations_are_named(fasttext_bin, tmp_path, edit, message):
    FasttextEncoder(fasttext_bin).save(tmp_path / "encoder")
    config = tmp_path / "encoder" / "encoder.json"
    content = json.loads(config.read_text())
    edit(content)
    config.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=message):
        FasttextEncoder.load(tmp_path / "encoder")


@pytest.mark.parametrize("aggregations", [[], "avg", ["sum"], ["avg", "mean"]])
def test_unknown_aggregations_are_named(fasttext_bin, aggregations):
    with pytest.raises(ValueError, match="aggregations must be a list of 'avg', 'min', 'max', got"):
        FasttextEncoder(fasttext_bin, False, aggregations)


def test_what_is_no_text_is_named_with_its_position(fasttext_bin):
    with pytest.raises(TypeError, match="object 1 of the batch must be a text, got ndarray"):
        FasttextEncoder(fasttext_bin).get_collate_fn()(["a", np.zeros((2, 2))])


def test_a_model_that_is_not_there_gives_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        FasttextEncoder(tmp_path / "none.bin")
