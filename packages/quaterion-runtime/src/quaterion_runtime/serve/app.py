"""The service: its addresses, and what they answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from http import HTTPMethod
from typing import TypeVar

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from quaterion_runtime.serve.batcher import Batcher
from quaterion_runtime.serve.bodies import Bodies
from quaterion_runtime.serve.errors import CLIENT_GONE, ApiError, failed, refused
from quaterion_runtime.serve.metrics import CountRequests, Metrics
from quaterion_runtime.serve.options import ServeOptions
from quaterion_runtime.serve.payloads import EmbeddingsRequest, read_request, write_reply
from quaterion_runtime.serve.text_model import TextModel

T = TypeVar("T")


def create_app(model: TextModel, options: ServeOptions) -> Starlette:
    """Builds an ASGI application that serves a model.

    Args:
        model: The model.
        options: Names and limits.

    Returns:
        The application; a server such as uvicorn runs it.

    Example:
        >>> app = create_app(TextModel(folder), ServeOptions(name="support"))
        >>> [route.path for route in app.routes][:2]
        ['/v1/embeddings', '/v1/models']
    """
    return _Service(model, options).app()


class _Service:
    """What all requests share."""

    def __init__(self, model: TextModel, options: ServeOptions) -> None:
        self._model, self._options = model, options
        self._metrics = Metrics(lambda: self._batcher.waiting)
        self._batcher = Batcher(
            model.compute,
            max_tokens=options.max_batch_tokens,
            max_wait=options.max_wait,
            on_batch=self._metrics.batch,
        )
        self._bodies = Bodies(options.max_body, options.body_timeout)
        # Tokenising and writing replies: beside the thread that computes, so that it always has something to do.
        self._helpers = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="prepare")
        self._started = int(time.time())
        self._inside = 0

    def app(self) -> Starlette:
        routes = [
            Route("/v1/embeddings", self._embeddings, methods=[HTTPMethod.POST]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._one_model),
            Route("/health", self._ready),
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/metrics", self._counts),
        ]
        paths = [route.path for route in routes if "{" not in route.path]
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            middleware=[Middleware(CountRequests, metrics=self._metrics, paths=paths)],
            exception_handlers={ApiError: refused, HTTPException: refused, Exception: failed},
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._batcher:
            yield
        self._helpers.shutdown(wait=False, cancel_futures=True)

    async def _embeddings(self, request: Request) -> Response:
        self._check_key(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "The body must be JSON: send the header Content-Type: application/json.")
        try:
            async with self._bodies.read(request) as body:
                asked = read_request(body, self._model.folder, self._options)
                # The body is held until the reply is there: it stands for the memory of the texts.
                reply = await _unless_gone(request, self._reply(asked))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        return _json(reply)

    async def _reply(self, asked: EmbeddingsRequest) -> bytes:
        with self._admitted(len(asked.texts)):
            texts = await self._beside(lambda: self._model.tokenize(asked.texts, asked.side))
            vectors = await self._batcher.submit(self._model.group(asked.side), texts)
            tokens = sum(one.count for one in texts)
            reply = await self._beside(lambda: write_reply(asked, vectors, tokens, self._options.name))
        self._metrics.embedded(len(texts), tokens)
        return reply

    @contextmanager
    def _admitted(self, texts: int) -> Iterator[None]:
        if self._inside + texts > self._options.max_queue:
            raise ApiError(
                429,
                f"{self._inside} texts are waiting, {texts} more would be above {self._options.max_queue}. Send them "
                "again later.",
                code="queue_full",
            )
        self._inside += texts
        try:
            yield
        finally:
            self._inside -= texts

    async def _beside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._helpers, work)

    async def _models(self, request: Request) -> Response:
        self._check_key(request)
        return _json(orjson.dumps({"object": "list", "data": [self._described()]}))

    async def _one_model(self, request: Request) -> Response:
        self._check_key(request)
        if request.path_params["name"] != self._options.name:
            raise ApiError(404, f"There is no such model here, it is {self._options.name!r}.", code="model_not_found")
        return _json(orjson.dumps(self._described()))

    def _described(self) -> dict[str, object]:
        return {"id": self._options.name, "object": "model", "created": self._started, "owned_by": "quaterion"}

    async def _live(self, _: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def _ready(self, _: Request) -> Response:
        if not self._batcher.running:
            return _json(b'{"status":"stopped"}', 503)
        if self._inside >= self._options.max_queue:
            return _json(b'{"status":"queue full"}', 503)
        return _json(b'{"status":"ok"}')

    async def _counts(self, _: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    def _check_key(self, request: Request) -> None:
        if self._options.api_key is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Digests have one length: the comparison tells nothing about the key, not even how long it is.
        expected, received = (
            hashlib.sha256(one).digest() for one in (self._options.api_key.encode(), given.strip().encode("latin-1"))
        )
        if not hmac.compare_digest(expected, received) or scheme.lower() != "bearer":
            raise ApiError(
                401,
                "The API key is missing or wrong: send the header Authorization: Bearer KEY.",
                code="invalid_api_key",
            )


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Waits for work, and cancels it when the client disconnects.

    Raises:
        ClientDisconnect: If it did.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")
