"""What a service counts, in the form of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quaterion_runtime.serve.errors import CLIENT_GONE

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS = tuple(2**power for power in range(12))
_PREFIX = "quaterion_runtime"


class Metrics:
    """Counters of one service, in a registry of their own.

    Args:
        queue: Gives the number of texts that wait.
    """

    def __init__(self, queue: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "requests", "Requests that were answered, by path and HTTP status (499: the client had left).",
            ("path", "status"), namespace=_PREFIX, registry=self._registry,
        )  # fmt: skip
        self._seconds = self._histogram("request_seconds", "Seconds from a request's headers to its reply.", _SECONDS)
        self._texts = self._counter("texts", "Texts that were embedded.")
        self._tokens = self._counter("tokens", "Tokens of those texts.")
        self._batch_texts = self._histogram("batch_texts", "Texts of a batch.", _TEXTS)
        self._batch_seconds = self._histogram("batch_seconds", "Seconds that a batch took.", _SECONDS)
        self._padded = self._counter("batch_tokens", "Tokens of batches, padding included.")
        length = Gauge("queue_texts", "Texts that wait.", namespace=_PREFIX, registry=self._registry)
        length.set_function(queue)

    def embedded(self, texts: int, tokens: int) -> None:
        """Counts the texts of a request that was answered.

        Args:
            texts: How many.
            tokens: How many tokens they have.
        """
        self._texts.inc(texts)
        self._tokens.inc(tokens)

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        """Counts a batch.

        Args:
            texts: Its texts.
            tokens: Its tokens, padding included.
            seconds: How long it took.
        """
        self._batch_texts.observe(texts)
        self._padded.inc(tokens)
        self._batch_seconds.observe(seconds)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request.

        Args:
            path: Its path, or a name for all others: each becomes a series of its own.
            status: Of the reply.
            seconds: How long it took.
        """
        self._requests.labels(path, status).inc()
        if path == "/v1/embeddings":
            self._seconds.observe(seconds)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, about: str) -> Counter:
        return Counter(name, about, namespace=_PREFIX, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: Collection[float]) -> Histogram:
        return Histogram(name, about, namespace=_PREFIX, registry=self._registry, buckets=tuple(buckets))


class CountRequests:
    """Counts the requests that an ASGI application answers.

    Args:
        app: The application.
        metrics: Where they are counted.
        paths: Paths that are counted one by one; all others together.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), CLIENT_GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            status = HTTPStatus.INTERNAL_SERVER_ERROR  # what is outside of this answers so
            raise
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, status, time.perf_counter() - start)
