"""The public client of OpenAI's interface."""

import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest

from quaterion_runtime import Model

TEXTS = ["a cat", "a kitten sleeps", "cat"]


@pytest.fixture
def client(serve, golden):
    service = serve(golden / "two_sided", "--api-key", "secret")
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="secret", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("encoding", [openai.NOT_GIVEN, "float", "base64"])
def test_it_gets_vectors(client, golden, encoding):
    reply = client.embeddings.create(model="two_sided", input=TEXTS, encoding_format=encoding, user="someone")
    found = [one.embedding for one in reply.data]
    if encoding == "base64":  # asked for by name, the client leaves the bytes as they are
        found = [np.frombuffer(base64.b64decode(one), dtype="<f4") for one in found]
    np.testing.assert_allclose(found, Model.load(golden / "two_sided").encode(TEXTS), atol=1e-6)
    assert reply.usage.total_tokens == 6 + 6 + 5  # each with two special tokens and the prompt's two


def test_it_passes_on_sides_and_dimensions(client, golden):
    reply = client.embeddings.create(
        model="two_sided", input=TEXTS, dimensions=3, extra_body={"input_type": "document"}
    )
    expected = Model.load(golden / "two_sided").encode_document(TEXTS, dimensions=3)
    np.testing.assert_allclose([one.embedding for one in reply.data], expected, atol=1e-6)


def test_its_errors_say_what_is_wrong(client):
    with pytest.raises(openai.BadRequestError, match="input must be a text") as e:
        client.embeddings.create(model="two_sided", input=[])
    assert (e.value.param, e.value.code, e.value.type) == ("input", "invalid_value", "invalid_request_error")
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.embeddings.create(model="other", input="a")
    with pytest.raises(openai.AuthenticationError, match="API key is missing or wrong"):
        client.with_options(api_key="wrong").embeddings.create(model="two_sided", input="a")


def test_it_lists_the_model(client):
    assert [one.id for one in client.models.list()] == ["two_sided"]
    assert client.models.retrieve("two_sided").id == "two_sided"


def test_it_comes_back_when_the_queue_was_full(serve, golden):
    service = serve(golden / "text", "--max-texts", "1", "--max-queue", "1", "--max-wait", "0.5")
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=10)
    with client, ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda text: client.embeddings.create(model="text", input=text), TEXTS))
    found = [one.data[0].embedding for one in replies]
    np.testing.assert_allclose(found, Model.load(golden / "text").encode(TEXTS), atol=1e-6)
    assert service.metrics()["requests_total{/v1/embeddings,429}"] >= 1
