"""Dynamic batching: texts of all waiting requests are joined into batches of like length."""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from quaterion_runtime.serve.text_model import Tokens

Compute = Callable[[str, Sequence[Tokens]], NDArray[np.float32]]
OnBatch = Callable[[int, int, float], object]


class _Job:
    """The texts of one request."""

    def __init__(self, group: str, count: int, done: asyncio.Future[NDArray[np.float32]], arrived: float) -> None:
        self.group, self.done, self.arrived = group, done, arrived
        self.waiting = self.missing = count
        self._vectors: list[NDArray[np.float32] | None] = [None] * count

    def put(self, row: int, found: NDArray[np.float32] | Exception) -> None:
        """Takes the vector of a text, or why there is none."""
        self.missing -= 1
        if self.done.done():  # the client has gone, or another of its texts has failed
            return
        if isinstance(found, Exception):
            self.done.set_exception(found)
            return
        self._vectors[row] = found
        if not self.missing:
            self.done.set_result(np.stack([one for one in self._vectors if one is not None]))


class _Waiting(NamedTuple):
    """A text that waits; compared by its width, and by when it came."""

    width: int
    number: int
    job: _Job
    row: int
    tokens: Tokens


class Batcher:
    """Computes the vectors of texts that many requests hand in, batch by batch, in one thread.

    The requests take turns: each batch is the one in which texts of the request whose turn it is stand, together with
    texts of like length of any other. A request of few texts therefore does not wait until one of many is through. In a
    batch every text has at least half of the tokens of the longest, so that less than half of it is padding.

    A batch that fails is computed again text by text, so that a request fails by its own texts alone.

    Use it as an asynchronous context manager, in one event loop.

    Args:
        compute: Gives vectors `[B, D]` of B texts of a group; runs in the thread.
        max_tokens: Most tokens of a batch, padding included; a longer text is a batch of its own.
        max_wait: Most seconds that a text waits for others.
        on_batch: Called after each batch with its texts, its tokens with padding, and the seconds that it took.
    """

    def __init__(
        self, compute: Compute, *, max_tokens: int, max_wait: float, on_batch: OnBatch = lambda *_: None
    ) -> None:
        self._compute, self._max_tokens, self._max_wait, self._on_batch = compute, max_tokens, max_wait, on_batch
        self._pools: dict[str, list[_Waiting]] = {}
        self._turns: deque[_Job] = deque()
        self._numbers = itertools.count()
        self._arrived = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)

    @property
    def running(self) -> bool:
        """Whether texts that are handed in will be computed."""
        return not self._task.done()

    @property
    def waiting(self) -> int:
        """How many texts wait."""
        return sum(map(len, self._pools.values()))

    async def submit(self, group: str, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """Hands in the texts of a request; when this call is cancelled, those that still wait are dropped.

        Args:
            group: Texts of one group share batches.
            texts: N texts, one or more.

        Returns:
            Their vectors, `[N, D]`.

        Raises:
            Exception: What `compute` raised for one of the texts alone.
        """
        loop = asyncio.get_running_loop()
        job = _Job(group, len(texts), loop.create_future(), loop.time())
        pool = self._pools.setdefault(group, [])
        pool += [_Waiting(one.arrays.shape[1], next(self._numbers), job, row, one) for row, one in enumerate(texts)]
        pool.sort()
        self._turns.append(job)
        self._arrived.set()
        try:
            return await job.done
        finally:
            if job.waiting:
                self._drop(job)

    def _drop(self, job: _Job) -> None:
        self._pools[job.group] = [one for one in self._pools[job.group] if one.job is not job]
        job.waiting = 0

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._turns:
                self._arrived.clear()
                await self._arrived.wait()
            await self._gather()
            group, batch = self._next_batch()
            if not batch:
                continue
            start = time.perf_counter()
            texts = [one.tokens for one in batch]
            found = await loop.run_in_executor(self._worker, self._computed, group, texts)
            self._on_batch(len(batch), len(batch) * batch[-1].width, time.perf_counter() - start)
            for one, vector in zip(batch, found, strict=True):
                one.job.put(one.row, vector)

    async def _gather(self) -> None:
        """Waits for more texts, but not longer than the first may wait, nor for more than a batch."""
        deadline = self._turns[0].arrived + self._max_wait
        while self._turns[0].waiting and (left := deadline - asyncio.get_running_loop().time()) > 0:
            if sum(one.width for pool in self._pools.values() for one in pool) >= self._max_tokens:
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _next_batch(self) -> tuple[str, list[_Waiting]]:
        job = self._turns.popleft()
        if not job.waiting:
            return job.group, []
        pool = self._pools[job.group]
        place = next(place for place in reversed(range(len(pool))) if pool[place].job is job)
        end = len(pool)
        while (start := self._start_of_batch(pool, end)) > place:
            end = start
        batch = pool[start:end]
        del pool[start:end]
        for one in batch:
            one.job.waiting -= 1
        if job.waiting:
            self._turns.append(job)
        return job.group, batch

    def _start_of_batch(self, pool: list[_Waiting], end: int) -> int:
        """Where the batch starts that ends with a text, and before whose texts none is less than half as wide."""
        longest = pool[end - 1].width
        most = max(1, self._max_tokens // longest)
        return bisect_left(pool, (longest / 2,), max(0, end - most), end)

    def _computed(self, group: str, texts: list[Tokens]) -> list[NDArray[np.float32] | Exception]:
        try:
            return list(self._compute(group, texts))
        except Exception as error:  # noqa: BLE001 - whatever it is, the request that caused it is answered with it
            return [error] if len(texts) == 1 else [self._computed(group, [one])[0] for one in texts]
