"""Reading the bodies of requests, within bounds of size, of time, and of memory for all together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from quaterion_runtime.serve.errors import ApiError

TOGETHER = 16
"""Bodies of the largest size that may be held at a time."""

_DISCARDED = 16
"""Times the largest size that is read on and thrown away: a client that still sends would not see the reply."""


class Bodies:
    """Reads bodies.

    Args:
        max_body: Most bytes of one.
        timeout: Most seconds in which one must be here.
    """

    def __init__(self, max_body: int, timeout: float) -> None:
        self._max_body, self._timeout = max_body, timeout
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """Reads a body, whose bytes count as held until the context is left.

        Args:
            request: The request.

        Yields:
            The body.

        Raises:
            ApiError: If it is too large (413) or too slow (408), or there are too many (429).
            ClientDisconnect: If the client left.
        """
        body = bytearray()
        try:
            await self._fill(body, request)
            yield body
        finally:
            self._held -= len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                size = await self._receive(body, request)
        except TimeoutError:
            raise ApiError(
                408, f"The body did not come within {self._timeout:g} seconds.", code="request_timeout"
            ) from None
        if size > self._max_body:
            raise ApiError(
                413,
                f"The body has more than {self._max_body} bytes. Send fewer or shorter texts at a time.",
                code="body_too_large",
            )
        if len(body) < size:
            raise ApiError(429, "Too many bodies are held at a time. Send it again later.", code="too_many_requests")

    async def _receive(self, body: bytearray, request: Request) -> int:
        """Receives a body, and keeps it as long as it may be kept; how large it is."""
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if (
                len(body) + len(chunk) == size <= self._max_body
                and self._held + len(chunk) <= TOGETHER * self._max_body
            ):
                body += chunk
                self._held += len(chunk)
            elif size > self._max_body * _DISCARDED:
                break
        return size
