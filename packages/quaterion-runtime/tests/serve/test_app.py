"""What the addresses of a service answer, over HTTP."""

import contextlib
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from quaterion_runtime import Model, RuntimeFolderError
from quaterion_runtime.serve.app import create_app
from quaterion_runtime.serve.options import ServeOptions
from quaterion_runtime.serve.text_model import TextModel

JSON = {"content-type": "application/json"}


def vectors(response):
    assert response.status_code == 200, response.text
    return np.array([one["embedding"] for one in response.json()["data"]], dtype=np.float32)


def error(response, status):
    assert (response.status_code, response.json().keys()) == (status, {"error"})
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    return response.json()["error"]


def test_texts_get_their_vectors_and_their_tokens_are_counted(service, golden):
    model = Model.load(golden / "text")
    texts = ["a cat", "", "a kitten sleeps a cat a cat"]
    reply = service.embed(texts)
    np.testing.assert_allclose(vectors(reply), model.encode(texts), atol=1e-6)
    assert reply.json()["usage"] == {"prompt_tokens": 4 + 2 + 6, "total_tokens": 4 + 2 + 6}  # [CLS] and [SEP] each
    others = ["\u6f22\u5b57", "\U0001f600 e\u0301", "\0", "\u202e", "\ufffd"]
    np.testing.assert_allclose(vectors(service.embed(others)), model.encode(others), atol=1e-6)


def test_a_vector_is_cut_and_scaled_again(service, golden):
    model = Model.load(golden / "text")
    np.testing.assert_allclose(
        vectors(service.embed("a cat", dimensions=2)), model.encode("a cat", dimensions=2), atol=1e-6
    )
    assert "trained for the dimensions [4, 2]" in error(service.embed("a cat", dimensions=3), 400)["message"]


def test_queries_and_documents_differ_and_queries_are_what_is_meant_without_a_word(serve, golden):
    service, model = serve(golden / "two_sided"), Model.load(golden / "two_sided")
    texts = ["cat", "a cat sleeps"]
    queries, documents = model.encode_query(texts), model.encode_document(texts)
    assert np.abs(queries - documents).max() > 0.1
    np.testing.assert_allclose(vectors(service.embed(texts)), queries, atol=1e-6)
    np.testing.assert_allclose(vectors(service.embed(texts, input_type="query")), queries, atol=1e-6)
    np.testing.assert_allclose(vectors(service.embed(texts, input_type="document")), documents, atol=1e-6)


def test_bad_requests_are_answered_in_openai_s_form_and_good_ones_go_on(serve, golden):
    service = serve(golden / "text", "--max-texts", "3")
    address = f"{service.url}/v1/embeddings"
    assert "no JSON" in error(httpx.post(address, content=b"{no", headers=JSON), 400)["message"]
    assert error(service.embed([]), 400)["param"] == "input"
    assert error(service.embed(["a"] * 4), 400)["param"] == "input"
    assert "ids of tokens" in error(service.embed([[1, 2]]), 400)["message"]
    assert error(service.post({"model": "other", "input": "a"}), 404)["code"] == "model_not_found"
    assert "Content-Type: application/json" in error(httpx.post(address, content=b"{}"), 415)["message"]
    assert error(httpx.get(f"{service.url}/nowhere"), 404)["type"] == "invalid_request_error"
    wrong_method = httpx.get(address)
    assert "Method Not Allowed" in error(wrong_method, 405)["message"] and wrong_method.headers["allow"] == "POST"
    assert vectors(service.embed("a")).shape == (1, 4)


def test_paths_lead_nowhere_else(service):
    for path in (
        "/../runtime.json",
        "/v1/models/../../runtime.json",
        "/v1/models/%2e%2e%2fruntime.json",
        "//etc/passwd",
    ):
        with socket.create_connection(("127.0.0.1", service.port)) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            reply = b"".join(iter(lambda raw=raw: raw.recv(4096), b""))
        assert b" 404 " in reply.partition(b"\r\n")[0] and b"quaterion-runtime" not in reply


def test_a_text_of_a_megabyte_is_cut_as_the_model_cuts_it_or_refused_by_the_limit(service, serve, golden):
    text = "a cat sleeps a " * 70_000
    expected = Model.load(golden / "text").encode(text)
    start = time.perf_counter()
    np.testing.assert_allclose(vectors(service.embed(text)), expected, atol=1e-6)
    np.testing.assert_allclose(vectors(service.embed("cat" * 350_000)), Model.load(golden / "text").encode("dog"))
    assert time.perf_counter() - start < 20
    small = serve(golden / "text", "--max-body", "1000")
    refused = error(small.embed(text), 413)
    assert refused["code"] == "body_too_large" and "more than 1000 bytes" in refused["message"]

    def chunks():
        yield b'{"model": "text", "input": "'
        yield from [b"cat " * 100] * 10

    address = f"{small.url}/v1/embeddings"
    assert error(httpx.post(address, content=chunks(), headers=JSON), 413)["code"] == "body_too_large"
    body = json.dumps({"model": "text", "input": ""})
    exact = json.dumps({"model": "text", "input": "x" * (1000 - len(body))})
    assert httpx.post(address, content=exact, headers=JSON).status_code == 200
    assert httpx.post(address, content=exact + " ", headers=JSON).status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(serve, golden):
    service = serve(golden / "text", "--body-timeout", "0.3")
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as slow:
        slow.sendall(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        reply = b"".join(iter(lambda: slow.recv(4096), b""))  # and the connection ends
    assert b" 408 " in reply.partition(b"\r\n")[0] and b"did not come within 0.3 seconds" in reply


def test_headers_have_bounds(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
        with contextlib.suppress(ConnectionError):  # which is ended while they still come
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 10_000_000)
            assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")
        with pytest.raises(ConnectionError):
            raw.sendall(b"x" * 10_000_000)
    assert httpx.get(f"{service.url}/health").status_code == 200


def test_only_those_with_the_key_may_use_the_model(serve, golden):
    key = "clé secrète"
    service = serve(golden / "text", env={"QUATERION_API_KEY": key})
    asked = {"model": "text", "input": "a cat"}
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {key}".encode()},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {key}x".encode()},
    ):
        reply = service.post(asked, headers=headers)
        assert error(reply, 401)["code"] == "invalid_api_key"
        assert reply.headers["www-authenticate"] == "Bearer"
        assert httpx.get(f"{service.url}/v1/models", headers=headers).status_code == 401
        assert httpx.get(f"{service.url}/v1/models/text", headers=headers).status_code == 401
    allowed = {"authorization": f"Bearer {key}".encode()}
    assert service.post(asked, headers=allowed).status_code == 200
    assert httpx.get(f"{service.url}/v1/models", headers=allowed).json()["data"][0]["id"] == "text"
    for path in ("/health", "/health/live", "/metrics"):
        assert httpx.get(service.url + path).status_code == 200
    by_option = serve(golden / "text", "--api-key", "other", env={"QUATERION_API_KEY": key})
    assert by_option.post(asked, headers={"authorization": "Bearer other"}).status_code == 200
    assert by_option.post(asked, headers=allowed).status_code == 401


def test_a_full_queue_says_when_to_come_back_and_empties(serve, golden):
    service = serve(golden / "text", "--max-texts", "3", "--max-queue", "3", "--max-wait", "1")
    replies = []
    waiting = threading.Thread(target=lambda: replies.append(service.embed(["a", "cat", "sleeps"])))
    waiting.start()
    time.sleep(0.4)
    assert service.metrics()["queue_texts"] == 3
    assert httpx.get(f"{service.url}/health").status_code == 503
    assert httpx.get(f"{service.url}/health/live").status_code == 200
    refused = service.embed("a")
    assert error(refused, 429) == {
        "message": "3 texts are waiting, 1 more would be above 3. Send them again later.",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
    }
    assert int(refused.headers["retry-after"]) >= 1
    waiting.join()
    assert vectors(replies[0]).shape == (3, 4)
    assert httpx.get(f"{service.url}/health/ready").json() == {"status": "ok"}
    assert vectors(service.embed(["a", "cat", "sleeps"])).shape == (3, 4)


def test_what_a_client_that_left_asked_for_is_not_computed(serve, golden):
    service = serve(golden / "text", "--max-wait", "1")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}/v1/embeddings", json={"model": "text", "input": ["a", "cat"]}, timeout=0.3)
    time.sleep(0.3)
    assert service.metrics()["queue_texts"] == 0
    assert vectors(service.embed("a")).shape == (1, 4)
    counted = service.metrics()
    assert (counted["texts_total"], counted["batch_texts_sum"], counted["batch_texts_count"]) == (1, 1, 1)
    assert counted["requests_total{/v1/embeddings,499}"] == 1


def test_metrics_count_what_was_done(serve, golden):
    service = serve(golden / "text")
    service.embed(["a cat", "cat"])
    service.embed("a cat sleeps")
    service.embed([])
    httpx.get(f"{service.url}/nowhere")
    counted = service.metrics()
    assert counted["requests_total{/v1/embeddings,200}"] == 2
    assert counted["requests_total{/v1/embeddings,400}"] == 1
    assert counted["requests_total{other,404}"] == 1
    assert counted["request_seconds_count"] == 3
    assert (counted["texts_total"], counted["tokens_total"]) == (3, 4 + 3 + 5)
    # "a cat" and "cat" share a batch, padded to the longer
    assert (counted["batch_texts_count"], counted["batch_texts_sum"]) == (2, 3)
    assert counted["batch_tokens_total"] == 2 * 4 + 5
    assert counted["batch_seconds_count"] == 2
    assert counted["queue_texts"] == 0 and counted["process_resident_memory_bytes"] > 1e7


def test_the_models_are_listed(serve, golden):
    service = serve(golden / "text", "--name", "team/support")
    listed = httpx.get(f"{service.url}/v1/models").json()
    assert listed["object"] == "list" and [one["id"] for one in listed["data"]] == ["team/support"]
    assert httpx.get(f"{service.url}/v1/models/team/support").json() == listed["data"][0]
    assert error(httpx.get(f"{service.url}/v1/models/other"), 404)["code"] == "model_not_found"
    assert vectors(service.post({"model": "team/support", "input": "a"})).shape == (1, 4)


class Failing(TextModel):
    """A model whose graph fails on every batch that has an empty text."""

    def compute(self, group, texts):
        if any(one.count == 2 for one in texts):
            raise RuntimeFolderError("/secret/place/model.onnx gave NaN")
        return super().compute(group, texts)


def test_what_the_model_fails_on_is_an_error_that_tells_nothing_of_this_machine(golden):
    app = create_app(Failing(golden / "text"), ServeOptions(name="text"))
    with TestClient(app, raise_server_exceptions=False) as client:
        failed = client.post("/v1/embeddings", json={"model": "text", "input": ["a cat", ""]})
        assert error(failed, 500) == {
            "message": "The model failed on this request; the service's log says why.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        assert client.post("/v1/embeddings", json={"model": "text", "input": "a cat"}).status_code == 200
        assert 'requests_total{path="/v1/embeddings",status="500"} 1.0' in client.get("/metrics").text
