import copy
import pickle

import numpy as np
import pytest

from quaterion_models.encoders.extras.word_vector_files import read_word_vectors
from quaterion_models.encoders.extras.word_vectors import WordVectors


def fnv(content: bytes) -> int:
    """fastText's `Dictionary::hash`, byte by byte."""
    state = 2166136261
    for byte in content:
        signed = byte - 256 if byte > 127 else byte
        state = (state ^ (signed % 2**32)) * 16777619 % 2**32
    return state


def ngrams(word, minn, maxn):
    """All of a word's n-grams, by slices."""
    marked = f"<{word}>"
    found = [marked[i : i + n] for n in range(minn, maxn + 1) for i in range(len(marked) - n + 1)]
    return [gram for gram in found if gram not in {"<", ">"}]


def expected(word, words, matrix, minn=2, maxn=4):
    rows = [len(words) + fnv(gram.encode()) % (len(matrix) - len(words)) for gram in ngrams(word, minn, maxn)]
    if word in words:
        rows = [words.index(word), *(rows if word != "</s>" else [])]
    return np.mean([matrix[row] for row in rows], axis=0)


@pytest.mark.parametrize("on_disk", [False, True])
def test_known_and_unknown_words_are_the_mean_of_their_parts(fasttext_bin, words, matrix, on_disk):
    vectors = read_word_vectors(fasttext_bin, on_disk=on_disk)
    assert vectors.size == 3
    for word in [*words, "ice", "heiß", "水水", "a", "😀", "<>", "a b"]:
        np.testing.assert_allclose(vectors.vector(word), expected(word, words, matrix), rtol=1e-5, err_msg=word)


def test_single_characters_are_parts_but_the_marks_alone_are_not(tmp_path, fasttext_bytes, words, matrix):
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(minn=1, maxn=2))
    vectors = read_word_vectors(tmp_path / "a.bin", on_disk=False)
    np.testing.assert_allclose(vectors.vector("ab"), expected("ab", words, matrix, 1, 2), rtol=1e-5)


def test_words_too_short_for_any_part_have_no_vector(tmp_path, fasttext_bytes):
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(minn=5, maxn=6))
    assert read_word_vectors(tmp_path / "a.bin", on_disk=False).vector("ab") is None


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_folder_gives_the_same_vectors(fasttext_bin, words, tmp_path, on_disk):
    vectors = read_word_vectors(fasttext_bin, on_disk=on_disk)
    vectors.save(tmp_path)
    again = WordVectors.open(tmp_path, vectors.lengths, on_disk=on_disk)
    for word in [*words, "ice", "heiß"]:
        assert np.array_equal(again.vector(word), vectors.vector(word))


@pytest.mark.parametrize("source", ["bin", "folder"])
def test_mapped_vectors_are_mapped_again_in_another_process_not_copied(tmp_path, fasttext_bytes, words, source):
    matrix = np.ones((len(words) + 1000, 100), dtype=np.float32)
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(matrix=matrix, bucket=1000))
    in_memory = read_word_vectors(tmp_path / "a.bin", on_disk=False)
    in_memory.save(tmp_path)
    mapped = read_word_vectors(tmp_path / "a.bin", on_disk=True)
    if source == "folder":
        mapped = WordVectors.open(tmp_path, mapped.lengths, on_disk=True)
    content = pickle.dumps(mapped)
    assert len(content) < 2000 < matrix.nbytes < len(pickle.dumps(in_memory))
    for again in (pickle.loads(content), pickle.loads(pickle.dumps(in_memory)), copy.deepcopy(mapped)):
        assert np.array_equal(again.vector("new word"), in_memory.vector("new word"))
    (tmp_path / ("a.bin" if source == "bin" else "ngrams.npy")).unlink()
    with pytest.raises(ValueError, match="changed since it was opened"):
        pickle.loads(content)


def test_words_with_a_zero_character_are_refused(tmp_path):
    (tmp_path / "f").touch()
    vectors = WordVectors(["a\0b"], np.ones((1, 2), np.float32), np.ones((0, 2), np.float32), (1, 0), [tmp_path / "f"])
    with pytest.raises(ValueError, match="a word holds a zero character"):
        vectors.save(tmp_path)


@pytest.mark.parametrize(
    ("words", "vectors", "ngrams", "message"),
    [
        (["a"], np.ones((2, 2), np.float32), np.ones((0, 2), np.float32), r"1 words and vectors of the shapes"),
        (["a"], np.ones((1, 2), np.float32), np.ones((3, 4), np.float32), r"\[\[1, 2\], \[3, 4\]\], which do not fit"),
        (["a"], np.ones((1, 2), np.int32), np.ones((0, 2), np.float32), "vectors of int32"),
        (["a"], np.ones((1, 0), np.float32), np.ones((0, 0), np.float32), "expected numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, words, vectors, ngrams, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(words, vectors, ngrams, (1, 2), [tmp_path / "file"])
