import base64
import json

import numpy as np
import pytest

from quaterion_runtime.folder import read_folder
from quaterion_runtime.serve.errors import ApiError
from quaterion_runtime.serve.options import ServeOptions
from quaterion_runtime.serve.payloads import read_request, write_reply

OPTIONS = ServeOptions(name="text", max_texts=3, max_queue=3)


def read(golden, content, name="text"):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_request(body, read_folder(golden / name), OPTIONS)


def test_what_is_left_out_has_defaults(golden):
    expected = read(golden, {"model": "text", "input": "a cat"})
    assert (expected.texts, expected.side, expected.as_base64, expected.shape.size) == (["a cat"], "query", False, 4)
    nothing = dict.fromkeys(["encoding_format", "dimensions", "user", "input_type"])
    assert read(golden, {"model": "text", "input": ["a cat"], **nothing}) == expected


def test_what_is_given_is_taken(golden):
    given = {"encoding_format": "base64", "dimensions": 2, "user": "someone", "input_type": "document"}
    found = read(golden, {"model": "text", "input": ["", "\u00e9\u6f22\U0001f600"], **given})
    assert (found.texts, found.side, found.as_base64) == (["", "\u00e9\u6f22\U0001f600"], "document", True)
    assert (found.shape.size, found.shape.scale) == (2, True)


WRONG = [
    ({"input": []}, "input", r"must be a text, or a list of at least one, it is \[\]"),
    ({"input": None}, "input", "it is null"),
    ({"input": 3}, "input", "it is 3"),
    ({"input": {"a": 1}}, "input", "it is an object of 1"),
    ({"input": [1, 2, 3]}, "input", "has ids of tokens"),
    ({"input": [[1, 2], [3]]}, "input", "has ids of tokens"),
    ({"input": ["a", None]}, "input", "must hold texts alone, at position 1 is null"),
    ({"input": ["a", 1]}, "input", "must hold texts alone, at position 1 is 1"),
    ({"input": ["a"] * 4}, "input", "has 4 texts, a request may have 3"),
    ({"model": None}, "model", "must be 'text', it is null"),
    ({"model": 3}, "model", "must be 'text', it is 3"),
    ({"encoding_format": "hex"}, "encoding_format", "must be 'float' or 'base64', it is \"hex\""),
    ({"encoding_format": ["float"]}, "encoding_format", "it is a list of 1"),
    ({"input_type": "passage"}, "input_type", "must be 'query' or 'document'"),
    ({"dimensions": 3}, "dimensions", r"trained for the dimensions \[4, 2\], got 3"),
    ({"dimensions": "2"}, "dimensions", r"must lie in 1\.\.4, got '2'"),
    ({"dimensions": True}, "dimensions", "got True"),
    ({"user": 3}, "user", "must be a text, it is 3"),
    ({"user": "x" * 9, "dimension": 2}, "dimension", "dimension is not known here. There are input, model"),
]


@pytest.mark.parametrize(("change", "param", "message"), WRONG)
def test_a_wrong_value_is_named(golden, change, param, message):
    with pytest.raises(ApiError, match=message) as e:
        read(golden, {"model": "text", "input": "a cat", **change})
    assert (e.value.status, e.value.param, e.value.code) == (400, param, "invalid_value")


def test_another_model_is_not_found(golden):
    with pytest.raises(ApiError, match="There is no model \"other\" here, it is 'text'") as e:
        read(golden, {"model": "other", "input": "a"})
    assert (e.value.status, e.value.param, e.value.code) == (404, "model", "model_not_found")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"input": "\\ud800"}', b"[" * 100_000, b'"text"', b"NaN", b"[]"]
)
def test_what_is_no_json_object_is_refused(golden, body):
    with pytest.raises(ApiError, match="The body (is no JSON|must be a JSON object)") as e:
        read(golden, body)
    assert (e.value.status, e.value.code) == (400, "invalid_json")


def test_the_reply_has_vectors_as_numbers_or_as_bytes(golden):
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    asked = {"model": "text", "input": ["a", "b", "c"]}
    numbers = json.loads(write_reply(read(golden, asked), vectors, 7, "text"))
    assert numbers["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert (numbers["object"], numbers["model"]) == ("list", "text")
    assert [(one["object"], one["index"]) for one in numbers["data"]] == [("embedding", row) for row in range(3)]
    found = np.array([one["embedding"] for one in numbers["data"]], dtype=np.float32)
    np.testing.assert_array_equal(found, vectors)  # no digit is lost
    packed = json.loads(write_reply(read(golden, {**asked, "encoding_format": "base64"}), vectors, 7, "text"))
    rows = [np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4") for one in packed["data"]]
    np.testing.assert_array_equal(rows, vectors)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_what_is_cut_off_leaves_vectors_of_length_1(golden, encoding):
    vectors = np.array([[3, 4, 12, 0], [0, 5, 0, 0]], dtype=np.float32) / np.array([[13], [5]], dtype=np.float32)
    asked = read(golden, {"model": "text", "input": ["a", "b"], "dimensions": 2, "encoding_format": encoding})
    data = json.loads(write_reply(asked, vectors, 2, "text"))["data"]
    rows = [
        np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4") if encoding == "base64" else one["embedding"]
        for one in data
    ]
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 1]], atol=1e-6)
