import importlib.util
import struct

import numpy as np
import pytest

from quaterion_models.encoders.extras.word_vector_files import read_word_vectors


def test_labels_of_a_classifier_are_no_words(tmp_path, fasttext_bytes, words, matrix):
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(labels=["__label__x", "__label__y"], model=3))
    vectors = read_word_vectors(tmp_path / "a.bin", on_disk=False)
    assert not np.array_equal(vectors.vector("__label__x"), matrix[len(words)])
    assert vectors.vector("</s>").tolist() == matrix[0].tolist()


def test_an_old_classifier_has_no_ngrams(tmp_path, fasttext_bytes):
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(model=3, version=11))
    assert read_word_vectors(tmp_path / "a.bin", on_disk=False).vector("unknown") is None


def test_a_model_without_ngrams_knows_its_words_only(tmp_path, fasttext_bytes, words, matrix):
    (tmp_path / "a.bin").write_bytes(fasttext_bytes(matrix=matrix[: len(words)], bucket=0, minn=0, maxn=0))
    vectors = read_word_vectors(tmp_path / "a.bin", on_disk=True)
    assert [vectors.vector(word).tolist() for word in words] == matrix[: len(words)].tolist()
    assert vectors.vector("unknown") is None


def test_every_truncation_of_a_model_is_named(tmp_path, fasttext_bytes):
    whole = fasttext_bytes()
    needed = len(whole) - (1 + 16 + 5 * 3 * 4)  # the output matrix is not read
    file = tmp_path / "cut.bin"
    for length in range(4, needed):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.bin is no whole model of fastText"):
            read_word_vectors(file, on_disk=False)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (8, struct.pack("<i", 4), "does not fit"),  # size of the vectors
        (40, struct.pack("<i", 10**9), "does not fit"),  # number of buckets
        (64, struct.pack("<i", 2**31 - 1), "ends within|does not fit"),  # number of entries
        (64, struct.pack("<i", -1), "no whole model"),
        (68, struct.pack("<i", 4), "does not fit"),  # number of words
        (84, struct.pack("<q", 3), "is compressed"),
    ],
)
def test_numbers_that_do_not_fit_are_named(tmp_path, fasttext_bytes, place, value, message):
    content = fasttext_bytes()
    (tmp_path / "a.bin").write_bytes(content[:place] + value + content[place + len(value) :])
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / "a.bin", on_disk=False)


def test_a_huge_matrix_is_not_allocated(tmp_path, fasttext_bytes, words):
    content = fasttext_bytes(bucket=2**31 - 1 - len(words))
    place = content.index(struct.pack("<2q", len(words) + 11, 3))
    huge = struct.pack("<2q", 2**31 - 1, 3)
    (tmp_path / "a.bin").write_bytes(content[:place] + huge + content[place + 16 :])
    with pytest.raises(ValueError, match=r"ends within the matrix \[2147483647, 3\]"):
        read_word_vectors(tmp_path / "a.bin", on_disk=False)


def test_compressed_models_are_refused(tmp_path, fasttext_bytes):
    (tmp_path / "a.ftz").write_bytes(fasttext_bytes(quantised=True))
    with pytest.raises(ValueError, match=r"is compressed \(\.ftz\), and only full models can be read"):
        read_word_vectors(tmp_path / "a.ftz", on_disk=False)


def text_file(ending="\n"):
    return f"3 2{ending}hot 1 -2.5{ending}größe 0 1e-3{ending}two words 3 4{ending}".encode()


BINARY = b"3 2\n" + b"".join(
    word.encode() + b" " + np.array(row, "<f4").tobytes() + b"\n"
    for word, row in [("hot", [1, -2.5]), ("größe", [0, 1e-3]), ("two", [3, 4])]
)


@pytest.mark.parametrize(
    ("content", "third"),
    [
        (text_file(), "two words"),
        (text_file("\r\n"), "two words"),
        (text_file(" \n"), "two words"),
        (text_file()[:-1], "two words"),
        (BINARY, "two"),
        (BINARY.replace(b"\nt", b"t").replace(b"\ng", b"g"), "two"),
    ],
    ids=["text", "windows", "space at the end", "no last line end", "binary", "binary without line ends"],
)
def test_word2vec_files_are_read(tmp_path, content, third):
    (tmp_path / "a.vec").write_bytes(content)
    vectors = read_word_vectors(tmp_path / "a.vec", on_disk=False)
    expected = {"hot": [1, -2.5], "größe": [0, 1e-3], third: [3, 4]}
    for word, numbers in expected.items():
        assert vectors.vector(word).tolist() == np.float32(numbers).tolist()
    assert vectors.vector("unknown") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"3\nhot 1 2\n", "must begin with the number of words and the size"),
        (b"3 x\nhot 1 2\n", "must begin with the number of words and the size"),
        (b"1000000000000 1000\nhot 1 2\n", "for which it is too small"),
        (b"0 2\n", "for which it is too small"),
        (b"2 -1\nhot\n", "for which it is too small"),
        (b"2 2\nhot 1 2\nold 1\n", r"word 2 of 2 is damaged: expected 2 numbers, got 1"),
        (b"2 2\nhot 1 2\nold 1 x\n", "word 2 of 2 is damaged: could not convert"),
        (b"3 2\nhot 1 2\nold 1 2\n", "word 3 of 3 is damaged"),
        (BINARY[:-12], "word 3 of 3 is damaged: its end is missing"),
        (BINARY[:-3], "word 3 of 3 is damaged: its vector is cut off"),
    ],
)
def test_damaged_word2vec_files_are_named(tmp_path, content, message):
    (tmp_path / "a.vec").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / "a.vec", on_disk=False)


def test_what_cannot_be_mapped_says_how_to_convert_it(tmp_path):
    (tmp_path / "a.vec").write_bytes(text_file())
    with pytest.raises(ValueError, match=r"cannot be mapped .* FasttextEncoder\('a\.vec', on_disk=False\)\.save\("):
        read_word_vectors(tmp_path / "a.vec", on_disk=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no word vectors that are known here"),
        (b"hello", "no word vectors that are known here"),
        (b"\x1f\x8b\x08abc", "is compressed. Unpack it first: gunzip a"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / "a", on_disk=False)


def test_without_gensim_its_files_name_what_to_type(tmp_path, monkeypatch):
    (tmp_path / "a.model").write_bytes(b"\x80\x04N.")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "quaterion-models\[fasttext\]"'):
        read_word_vectors(tmp_path / "a.model", on_disk=False)


TEXTS = ["hot water in the kettle", "größe und maß der dinge", "cold water and ice", "水 は 冷たい"] * 5


@pytest.fixture(scope="module")
def gensim_model():
    models = pytest.importorskip("gensim.models", reason="needs gensim: pip install 'quaterion-models[fasttext]'")
    return models.FastText(
        [text.split() for text in TEXTS], vector_size=8, min_count=1, bucket=50, min_n=2, max_n=4, workers=1, seed=1
    )


PROBES = ["hot", "größe", "水", "unknown", "wärme", "冷水", "x"]


def check_like(vectors, reference):
    for word in PROBES:
        np.testing.assert_allclose(vectors.vector(word), reference[word], rtol=1e-4, atol=1e-7, err_msg=word)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_model_that_gensim_wrote_for_fasttext_gives_gensims_vectors(gensim_model, tmp_path, on_disk):
    from gensim.models.fasttext import load_facebook_vectors, save_facebook_model

    save_facebook_model(gensim_model, str(tmp_path / "a.bin"))
    check_like(read_word_vectors(tmp_path / "a.bin", on_disk=on_disk), load_facebook_vectors(str(tmp_path / "a.bin")))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("on_disk", [False, True])
def test_gensims_own_files_give_gensims_vectors(gensim_model, tmp_path, whole, on_disk):
    saved = gensim_model if whole else gensim_model.wv
    saved.save(str(tmp_path / "a.model"), sep_limit=0)
    vectors = read_word_vectors(tmp_path / "a.model", on_disk=on_disk)
    check_like(vectors, gensim_model.wv)
    assert len(vectors.digests()) >= 3  # the pickle, and the arrays beside it


def test_gensims_plain_word_vectors_are_read(gensim_model, tmp_path):
    from gensim.models import KeyedVectors

    plain = KeyedVectors(8)
    plain.add_vectors(["a", "b"], np.eye(8, dtype=np.float32)[:2])
    plain.save(str(tmp_path / "a.kv"))
    vectors = read_word_vectors(tmp_path / "a.kv", on_disk=False)
    assert vectors.vector("b").tolist() == np.eye(8)[1].tolist() and vectors.vector("c") is None


@pytest.mark.parametrize("binary", [False, True])
def test_word2vec_files_that_gensim_wrote_are_read(gensim_model, tmp_path, binary):
    gensim_model.wv.save_word2vec_format(str(tmp_path / "a.vec"), binary=binary)
    vectors = read_word_vectors(tmp_path / "a.vec", on_disk=False)
    for word in ("hot", "größe", "水"):
        np.testing.assert_allclose(vectors.vector(word), gensim_model.wv[word], rtol=1e-5)
