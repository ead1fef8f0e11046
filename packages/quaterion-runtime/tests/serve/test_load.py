"""Many clients at once: every text gets its own vector."""

import itertools
import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from quaterion_runtime import Model

CLIENTS, REQUESTS = 64, 12
WORDS = ["a", "cat", "kitten", "sleeps", "query", "passage", "unknown"]
TEXTS = [" ".join(some) for count in range(5) for some in itertools.combinations_with_replacement(WORDS, count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text", "two_sided"])
def test_none_is_lost_and_none_mixed_up_while_some_clients_leave(serve, golden, name):
    model = Model.load(golden / name)
    expected = {
        side: {text: encode(text)[0] for text in TEXTS}  # each alone
        for side, encode in (("query", model.encode_query), ("document", model.encode_document))
    }
    every = np.stack([vector for side in expected.values() for vector in side.values()])
    distances = np.abs(every[:, None] - every[None]).max(axis=2)
    assert np.median(distances[distances > 0]) > 0.1  # a wrong one would be seen
    service = serve(golden / name, "--max-batch-tokens", "64")

    def leave(body):
        """Sends a request, or part of it, and goes."""
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as raw:
            raw.sendall(
                b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[: random.choice([len(body), len(body) // 2])]
            )

    def client(number):
        chance, answered = random.Random(number), 0
        with httpx.Client(timeout=60) as connection:
            for _ in range(REQUESTS):
                side, texts = (
                    chance.choice(["query", "document"]),
                    chance.choices(TEXTS, k=chance.choice([1, 1, 3, 20])),
                )
                asked = {"model": name, "input": texts, "input_type": side}
                if chance.random() < 0.2:
                    leave(json.dumps(asked).encode())
                    continue
                reply = connection.post(f"{service.url}/v1/embeddings", json=asked)
                assert reply.status_code == 200, reply.text
                data = reply.json()["data"]
                assert [one["index"] for one in data] == list(range(len(texts)))
                wanted = [expected[side][text] for text in texts]
                np.testing.assert_allclose([one["embedding"] for one in data], wanted, atol=1e-6)
                answered += 1
        return answered

    with ThreadPoolExecutor(CLIENTS) as pool:
        answered = sum(pool.map(client, range(CLIENTS)))
    assert answered > CLIENTS * REQUESTS // 2
    counted = service.metrics()
    assert answered <= counted["requests_total{/v1/embeddings,200}"] <= CLIENTS * REQUESTS
    assert counted["queue_texts"] == 0
    assert counted["batch_texts_count"] < counted["requests_total{/v1/embeddings,200}"]  # requests shared batches
    assert not any(label.endswith((",500}", ",429}")) for label in counted)
