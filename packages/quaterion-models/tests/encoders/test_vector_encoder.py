import importlib.util
import json
import os
import pickle

import numpy as np
import pytest
import torch

from quaterion_models import SimilarityModel
from quaterion_models.encoders import VectorEncoder
from quaterion_models.heads import EmptyHead, GatedHead
from quaterion_models.saving.files import ModelFolderError

VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
KEYS = ["a", "b", 3, ("c", 1), "e"]


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS)
    return tmp_path / "vectors.npy"


@pytest.fixture
def parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'quaterion-models[parquet]'")
    import pyarrow.parquet as pq

    def write(**columns):
        table = {"id": ["a", "b", "c", "d", "e"], "embedding": VECTORS.tolist()} | columns
        pq.write_table(pa.table(table), tmp_path / "vectors.parquet", row_group_size=2)
        return tmp_path / "vectors.parquet"

    return write


def encode(encoder, objects):
    return encoder(encoder.get_collate_fn()(objects))


def test_vectors_in_every_form_pass_through():
    objects = [VECTORS[0], VECTORS[1].tolist(), tuple(VECTORS[2].tolist()), torch.from_numpy(VECTORS[3])]
    vectors = encode(VectorEncoder(3), objects)
    assert vectors.dtype == torch.float32
    assert np.array_equal(vectors, VECTORS[:4])
    model = SimilarityModel(VectorEncoder(3), EmptyHead(3))
    for many in (VECTORS, list(VECTORS), torch.from_numpy(VECTORS), VECTORS.tolist()):
        assert np.array_equal(model.encode(many), VECTORS)
    assert np.array_equal(model.encode(VECTORS[0]), VECTORS[:1])


def test_vectors_are_normalised_on_request():
    expected = VECTORS / np.sqrt((VECTORS.astype(np.float64) ** 2).sum(1, keepdims=True))
    np.testing.assert_allclose(encode(VectorEncoder(3, normalize=True), list(VECTORS)), expected, rtol=1e-6)
    assert encode(VectorEncoder(3, normalize=True), [[0, 0, 0]]).tolist() == [[0, 0, 0]]


def test_vectors_take_the_models_precision():
    assert SimilarityModel(VectorEncoder(3), GatedHead(3)).half().encode(VECTORS).dtype == np.float16


def test_the_key_is_that_of_the_numbers_whatever_holds_them():
    encoder = VectorEncoder(3)
    row = [0.5, 2.0, -1.0]
    forms = [row, tuple(row), np.array(row), np.array(row, dtype=np.float16), torch.tensor(row)]
    assert len({encoder.cache_key(form) for form in forms}) == 1
    assert encoder.cache_key([0.5, 2.0, 1.0]) != encoder.cache_key(row)


@pytest.mark.filterwarnings("error")
def test_a_number_beyond_float32_has_a_key_without_a_warning_and_is_named_when_it_is_encoded():
    assert len(VectorEncoder(2).cache_key([1e300, 1])) == 16
    with pytest.raises(ValueError, match="the object holds inf at place 0"):
        encode(VectorEncoder(2), [[1e300, 1]])


@pytest.mark.parametrize(
    ("obj", "error", "message"),
    [
        ([1, 2], ValueError, r"object 1 of the batch has shape \[2\], expected \[3\]"),
        (1.5, ValueError, r"object 1 of the batch has shape \[\], expected \[3\]"),
        ("text", TypeError, "object 1 of the batch must be 3 real numbers .* got 'text' of type str"),
        ([1, np.nan, 2], ValueError, "object 1 of the batch holds nan at place 1, expected finite numbers"),
        ([1, 2, 1e39], ValueError, "object 1 of the batch holds inf at place 2"),
    ],
)
def test_what_is_no_finite_vector_is_named_with_its_position(obj, error, message):
    with pytest.raises(error, match=message):
        encode(VectorEncoder(3), [[1, 2, 3], obj])


def test_the_only_vector_of_a_batch_has_no_number():
    with pytest.raises(ValueError, match=r"^the object has shape \[2\], expected \[3\]"):
        encode(VectorEncoder(3), [[1, 2]])


def test_rows_of_a_npy_file_are_looked_up(npy):
    encoder = VectorEncoder.from_npy(npy)
    assert encoder.embedding_size == 3 and not encoder.trainable
    assert np.array_equal(encode(encoder, [4, np.int64(0), 4]), VECTORS[[4, 0, 4]])
    assert encoder.cache_key(4) == encoder.cache_key(np.int32(4)) != encoder.cache_key(0)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "i2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_layout_is_read(tmp_path, dtype, order):
    array = np.asarray(VECTORS * 10, dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    encoder = VectorEncoder.from_npy(tmp_path / "a.npy")
    assert np.array_equal(encode(encoder, [1, 3]), array[[1, 3]].astype(np.float32))


def test_keys_of_any_kind_are_looked_up(npy):
    encoder = VectorEncoder.from_npy(npy, keys=KEYS, normalize=False)
    assert np.array_equal(encode(encoder, KEYS[::-1]), VECTORS[::-1])
    numbered = VectorEncoder.from_npy(npy, keys=np.arange(10, 15))
    assert np.array_equal(encode(numbered, [12, np.int64(11)]), VECTORS[[2, 1]])


def test_a_parquet_file_is_looked_up(parquet):
    encoder = VectorEncoder.from_parquet(parquet(), key="id", vector="embedding")
    assert np.array_equal(encode(encoder, ["e", "a", "a"]), VECTORS[[4, 0, 0]])


@pytest.mark.parametrize("kind", ["list", "large", "fixed", "half", "int"])
def test_every_kind_of_list_column_is_read(parquet, kind):
    import pyarrow as pa

    types = {
        "list": pa.list_(pa.float64()),
        "large": pa.large_list(pa.float32()),
        "fixed": pa.list_(pa.float32(), 3),
        "half": pa.list_(pa.float16()),
        "int": pa.list_(pa.int16()),
    }
    values = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1], [0, 0, 2]])
    rows = values.astype(np.float16) if kind == "half" else values
    path = parquet(embedding=pa.array(list(rows), type=types[kind]), id=list(range(5)))
    assert np.array_equal(encode(VectorEncoder.from_parquet(path, key="id", vector="embedding"), range(5)), values)


@pytest.mark.parametrize(
    ("obj", "keys", "error", "message"),
    [
        (5, None, ValueError, r"object 1 of the batch is the row number 5: vectors\.npy has the rows 0\.\.4"),
        (-1, None, ValueError, "is the row number -1"),
        (
            "a",
            None,
            TypeError,
            r"object 1 of the batch is 'a' of type str, expected a row number of vectors\.npy\. For",
        ),
        (True, None, TypeError, "is True of type bool, expected a row number"),
        (1.0, None, TypeError, "is 1.0 of type float, expected a row number"),
        (torch.tensor(1.7), None, TypeError, r"is tensor\(1.7000\) of type Tensor, expected a row number"),
        (np.array(1.7), None, TypeError, r"is array\(1.7\) of type ndarray, expected a row number"),
        (torch.tensor(True), None, TypeError, "of type Tensor, expected a row number"),
        (np.array(True), None, TypeError, "of type ndarray, expected a row number"),
        (np.True_, None, TypeError, "expected a row number"),
        (np.array([1]), None, TypeError, "expected a row number"),
        (
            "x",
            KEYS,
            ValueError,
            r"object 1 of the batch is 'x' of type str: vectors\.npy has no vector for it, among 5",
        ),
        ("3", KEYS, ValueError, "is '3' of type str: vectors.npy has no vector"),
    ],
)
def test_an_unknown_id_is_named_with_its_position(npy, obj, keys, error, message):
    encoder = VectorEncoder.from_npy(npy, keys=keys)
    with pytest.raises(error, match=message):
        encode(encoder, [(keys or [0])[0], obj])
    with pytest.raises(error, match="the object is "):
        encoder.cache_key(obj)


def test_integers_of_any_kind_are_row_numbers(npy):
    encoder = VectorEncoder.from_npy(npy)
    rows = [2, np.int8(2), np.array(2), torch.tensor(2)]
    assert np.array_equal(encode(encoder, rows), VECTORS[[2] * len(rows)])
    assert len({encoder.cache_key(row) for row in rows}) == 1


def test_a_stored_vector_that_is_not_finite_is_named_by_its_id(tmp_path):
    bad = VECTORS.copy()
    bad[2, 1] = np.inf
    np.save(tmp_path / "a.npy", bad)
    encoder = VectorEncoder.from_npy(tmp_path / "a.npy", keys=KEYS)
    assert encode(encoder, ["a"]).shape == (1, 3)
    with pytest.raises(ValueError, match="the vector of object 3 holds inf at place 1"):
        encode(encoder, ["a", 3])


def test_the_fingerprint_covers_settings_and_stored_vectors(npy, tmp_path):
    same = {VectorEncoder.from_npy(npy).fingerprint(), VectorEncoder.from_npy(npy).fingerprint()}
    np.save(tmp_path / "other.npy", VECTORS + 1)
    others = {
        VectorEncoder(3).fingerprint(),
        VectorEncoder(3, normalize=True).fingerprint(),
        VectorEncoder(4).fingerprint(),
        VectorEncoder(3).half().fingerprint(),
        VectorEncoder.from_npy(npy, keys=KEYS).fingerprint(),
        VectorEncoder.from_npy(npy, keys=KEYS[::-1]).fingerprint(),
        VectorEncoder.from_npy(tmp_path / "other.npy").fingerprint(),
    }
    assert len(same) == 1 and len(others) == 7 and not same & others


def test_a_file_that_is_changed_in_place_is_named(npy, tmp_path):
    encoder = VectorEncoder.from_npy(npy)
    np.save(npy, VECTORS + 1)
    os.utime(npy, ns=(0, 0))
    for use in (encoder.fingerprint, lambda: encoder.save(tmp_path / "saved")):
        with pytest.raises(ValueError, match=r"vectors\.npy was changed while it was in use\. Build the encoder again"):
            use()


def test_a_file_that_another_one_replaces_leaves_the_encoder_as_it_is(npy, tmp_path):
    encoder = VectorEncoder.from_npy(npy)
    fingerprint, collate = encoder.fingerprint(), pickle.dumps(encoder.get_collate_fn())
    np.save(tmp_path / "new.npy", VECTORS + 1)
    (tmp_path / "new.npy").replace(npy)
    assert encoder.fingerprint() == fingerprint != VectorEncoder.from_npy(npy).fingerprint()
    encoder.save(tmp_path / "saved")
    for one in (encoder, VectorEncoder.load(tmp_path / "saved")):
        assert np.array_equal(encode(one, range(5)), VECTORS)
    with pytest.raises(ValueError, match=r"vectors\.npy changed since it was opened\. Build the encoder again"):
        pickle.loads(collate)  # another process cannot have the old file


def test_a_mapped_file_is_not_copied_to_workers(tmp_path):
    np.save(tmp_path / "large.npy", np.ones((1000, 1000), dtype=np.float32))
    encoder = VectorEncoder.from_npy(tmp_path / "large.npy", keys=range(1000))
    content = pickle.dumps(encoder.get_collate_fn())
    assert len(content) < 100_000
    assert torch.equal(pickle.loads(content)([7]), torch.ones(1, 1000))


@pytest.mark.parametrize("kind", ["passed", "rows", "keys", "parquet"])
def test_is_saved_and_loaded_within_a_model_that_needs_no_other_file(kind, npy, parquet, tmp_path):
    source = parquet() if kind == "parquet" else npy
    encoder = {
        "passed": lambda: VectorEncoder(3, normalize=True),
        "rows": lambda: VectorEncoder.from_npy(npy, normalize=True),
        "keys": lambda: VectorEncoder.from_npy(npy, keys=KEYS),
        "parquet": lambda: VectorEncoder.from_parquet(source, key="id", vector="embedding"),
    }[kind]()
    objects = {"passed": list(VECTORS), "rows": range(5), "keys": KEYS, "parquet": list("abcde")}[kind]
    model = SimilarityModel(encoder, GatedHead(3))
    model.save(tmp_path / "model")
    expected, fingerprint = model.encode(objects), encoder.fingerprint()
    source.unlink()
    loaded = SimilarityModel.load(tmp_path / "model")
    assert np.array_equal(loaded.encode(objects), expected)
    assert loaded.encoders["default"].fingerprint() == fingerprint
    for _ in range(2):
        loaded.save(tmp_path / "model")  # over the files that it has mapped
    assert loaded.encoders["default"].fingerprint() == fingerprint
    assert np.array_equal(SimilarityModel.load(tmp_path / "model").encode(objects), expected)


def header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


DAMAGED = {
    "too large": header((10**12, 768)) + bytes(100),
    "overflowing": header((2**62, 2**62)) + bytes(100),
    "negative": header((-5, 3)) + bytes(100),
    "a pickle": header((5,), "|O") + pickle.dumps(VECTORS),
    "only a pickle": pickle.dumps(VECTORS),
    "text": b"0.1 0.2 0.3\n",
    "an archive": b"PK\x03\x04" + bytes(100),
    "empty": b"",
    "a torn header": header("(3, 3").replace(b"}", b" "),
    "code in the header": header("__import__('os').mkdir('hacked')") + bytes(100),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_no_whole_npy_file_is_refused(npy, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = VectorEncoder.from_npy(npy)
    encoder.save(tmp_path / "encoder")
    (tmp_path / "encoder" / "vectors.npy").write_bytes(DAMAGED[kind])
    with pytest.raises(ValueError, match=r"vectors\.npy is no whole \.npy file of numbers"):
        VectorEncoder.from_npy(tmp_path / "encoder" / "vectors.npy")
    with pytest.raises(ModelFolderError, match=r"vectors\.npy is no whole \.npy file of numbers"):
        VectorEncoder.load(tmp_path / "encoder")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"has an array of shape \[3\] and dtype float64, expected \[rows, size\] of real numbers"),
        (np.zeros((2, 2, 2)), r"shape \[2, 2, 2\]"),
        (np.zeros((2, 0)), "no whole|shape"),
        (np.zeros((2, 2), complex), "dtype complex128"),
        (np.array([["a", "b"]]), "dtype <U1"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        VectorEncoder.from_npy(tmp_path / "a.npy")


def test_keys_that_do_not_fit_are_refused(npy):
    with pytest.raises(ValueError, match="has 5 vectors and 2 keys, expected one key for each"):
        VectorEncoder.from_npy(npy, keys=["a", "b"])
    with pytest.raises(ValueError, match="has the same key in the rows 1 and 3, expected each key once"):
        VectorEncoder.from_npy(npy, keys=["a", "b", "c", "b", "d"])


def test_a_file_that_is_not_there_gives_an_ordinary_error(tmp_path):
    for build in (
        lambda: VectorEncoder.from_npy(tmp_path / "none.npy"),
        lambda: VectorEncoder.from_parquet(tmp_path / "none.parquet", key="id", vector="v"),
    ):
        with pytest.raises(FileNotFoundError):
            build()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"embedding": ["x"] * 5}, r"column 'embedding' is of type string, expected lists of numbers"),
        ({"embedding": [["x"]] * 5}, "expected lists of numbers"),
        ({"embedding": [[1.0, 2.0]] * 3 + [[1.0], [1.0]]}, "row 3 has a vector of length 1, row 0 one of 2"),
        ({"embedding": [[1.0], [2.0], [3.0], None, [2.0]]}, "row 3 has no vector, expected a list of numbers in each"),
        ({"embedding": [None] * 4 + [[2.0]]}, "row 0 has no vector"),
        ({"embedding": [[1.0], [None], [3.0], [2.0], [2.0]]}, "vectors with missing numbers"),
        ({"embedding": [[1.0]] * 5, "id": ["a", "b", "a", "d", "e"]}, "the same key in the rows 0 and 2"),
        ({"embedding": [[]] * 5}, "no whole|shape|of type list<element: null>"),
    ],
)
def test_columns_that_hold_no_vectors_are_named(parquet, columns, message):
    with pytest.raises(ValueError, match=message):
        VectorEncoder.from_parquet(parquet(**columns), key="id", vector="embedding")


def test_an_empty_parquet_file_is_named(parquet):
    import pyarrow as pa

    path = parquet(id=[], embedding=pa.array([], type=pa.list_(pa.float32())))
    with pytest.raises(ValueError, match="there are no rows"):
        VectorEncoder.from_parquet(path, key="id", vector="embedding")


def test_columns_that_are_missing_are_named(parquet):
    path = parquet()
    with pytest.raises(ValueError, match=r"has no column 'key', 'vec', it has \['id', 'embedding'\]"):
        VectorEncoder.from_parquet(path, key="key", vector="vec")


def test_a_damaged_parquet_file_is_named(parquet):
    path = parquet()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"vectors\.parquet is no whole Parquet file"):
        VectorEncoder.from_parquet(path, key="id", vector="embedding")


def test_without_pyarrow_the_error_says_what_to_type(parquet, monkeypatch):
    path = parquet()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "quaterion-models\[parquet\]"'):
        VectorEncoder.from_parquet(path, key="id", vector="embedding")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda c: c["args"].update(embedding_size=10**12),
            "embedding_size is 1000000000000, but the vectors .* size 3",
        ),
        (lambda c: c["args"].update(embedding_size="3"), "'embedding_size' must be int"),
        (lambda c: c["args"].update(normalize=1), "'normalize' must be bool"),
        (lambda c: c.update(lookup=3), "'lookup' must be str or NoneType"),
        (lambda c: c.update(format_version=2), "format_version 2"),
    ],
)
def test_damaged_configurations_are_named(npy, tmp_path, edit, message):
    VectorEncoder.from_npy(npy, keys=KEYS).save(tmp_path / "encoder")
    config = tmp_path / "encoder" / "encoder.json"
    content = json.loads(config.read_text())
    edit(content)
    config.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=message):
        VectorEncoder.load(tmp_path / "encoder")


def test_missing_and_foreign_files_are_named(npy, tmp_path):
    VectorEncoder.from_npy(npy, keys=KEYS).save(tmp_path / "encoder")
    keys = tmp_path / "encoder" / "keys.npy"
    np.save(keys, np.zeros((5, 8), dtype=np.uint8))
    with pytest.raises(ModelFolderError, match="one key for each"):
        VectorEncoder.load(tmp_path / "encoder")
    keys.unlink()
    with pytest.raises(ModelFolderError, match=r"keys\.npy"):
        VectorEncoder.load(tmp_path / "encoder")
    keys.symlink_to(npy)
    with pytest.raises(ModelFolderError, match="link that leads out of the model folder"):
        VectorEncoder.load(tmp_path / "encoder")


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "3"])
def test_wrong_sizes_are_named(size):
    with pytest.raises(ValueError, match="embedding_size must be an integer of at least 1"):
        VectorEncoder(size)
