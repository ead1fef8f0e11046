"""Files of word vectors, written by hand."""

import struct

import numpy as np
import pytest


def fasttext_file(words, matrix, *, bucket, minn, maxn, labels=(), version=12, model=2, pruned=-1, quantised=False):
    """The bytes of a `.bin`, field by field as fastText's own code writes them."""
    rows, dim = matrix.shape
    settings = (dim, 5, 5, 1, 5, 1, 2, model, bucket, minn, maxn, 100)
    content = struct.pack("<2i", 793712314, version) + struct.pack("<12id", *settings, 1e-4)
    entries = [(word, 0) for word in words] + [(label, 1) for label in labels]
    content += struct.pack("<3i2q", len(entries), len(words), len(labels), 1000, pruned)
    for word, kind in entries:
        content += word.encode() + b"\0" + struct.pack("<qb", 7, kind)
    content += struct.pack("<?2q", quantised, rows, dim) + matrix.astype("<f4").tobytes()
    return content + struct.pack("<?2q", False, len(words), dim) + np.zeros((len(words), dim), "<f4").tobytes()


WORDS = ["</s>", "hot", "water", "größe", "水"]
BUCKET = 11
MATRIX = np.random.default_rng(0).normal(size=(len(WORDS) + BUCKET, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def fasttext_bytes():
    """Writes a `.bin` of the words and the matrix below."""

    def write(words=WORDS, matrix=MATRIX, **settings):
        return fasttext_file(words, matrix, **{"bucket": BUCKET, "minn": 2, "maxn": 4} | settings)

    return write


@pytest.fixture(scope="session")
def words():
    return WORDS


@pytest.fixture(scope="session")
def matrix():
    return MATRIX


@pytest.fixture
def fasttext_bin(tmp_path, fasttext_bytes):
    (tmp_path / "model.bin").write_bytes(fasttext_bytes())
    return tmp_path / "model.bin"
