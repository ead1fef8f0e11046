"""The batcher in this process, with texts whose vectors are known."""

import asyncio
import random
import time

import numpy as np
import pytest

from quaterion_runtime.serve.batcher import Batcher
from quaterion_runtime.serve.text_model import Tokens


def tokens(number, width):
    return Tokens(np.full((1, width), number, dtype=np.int64), width)


class Computed:
    """Gives each text the vector [its number, its width]; keeps the batches, and fails on the numbers of `bad`."""

    def __init__(self, seconds=0.0, bad=()):
        self.batches, self.seconds, self.bad = [], seconds, bad

    def __call__(self, group, texts):
        self.batches.append((group, [one.arrays[0, 0] for one in texts], [one.arrays.shape[1] for one in texts]))
        time.sleep(self.seconds)
        if any(one.arrays[0, 0] in self.bad for one in texts):
            raise RuntimeError("bad text")
        return np.array([[one.arrays[0, 0], one.arrays.shape[1]] for one in texts], dtype=np.float32)


async def within(compute, work, *, max_tokens=64, max_wait=0.001):
    async with Batcher(compute, max_tokens=max_tokens, max_wait=max_wait) as batcher:
        async with asyncio.timeout(20):
            result = await work(batcher)
        assert batcher.running
        assert batcher.waiting == 0
        return result


@pytest.mark.parametrize("seed", range(20))
def test_every_request_gets_its_own_vectors_in_its_order_whatever_comes_together(seed):
    chance = random.Random(seed)
    compute = Computed(seconds=chance.choice([0, 0.001]))
    numbers = iter(range(10**6))
    budget = chance.choice([1, 16, 64, 1000])
    answered = []

    async def client(batcher):
        await asyncio.sleep(chance.random() * 0.05)
        texts = [tokens(next(numbers), chance.choice([1, 2, 7, 8, 30, 90])) for _ in range(chance.randint(1, 20))]
        work = asyncio.create_task(batcher.submit(chance.choice("ab"), texts))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() * 0.02)
            work.cancel()
            await asyncio.wait({work})
            return
        vectors = await work
        assert vectors.tolist() == [[one.arrays[0, 0], one.count] for one in texts]
        answered.extend(one.arrays[0, 0] for one in texts)

    async def all_of_them(batcher):
        await asyncio.gather(*(client(batcher) for _ in range(40)))

    asyncio.run(within(compute, all_of_them, max_tokens=budget, max_wait=chance.choice([0, 0.002])))
    computed = [number for _, some, _ in compute.batches for number in some]
    assert len(computed) == len(set(computed)) and set(answered) <= set(computed)
    for _, some, widths in compute.batches:
        assert len(some) == 1 or len(some) * max(widths) <= budget
        assert 2 * min(widths) >= max(widths)


def test_texts_of_several_requests_share_a_batch():
    compute = Computed()

    async def work(batcher):
        await asyncio.gather(*(batcher.submit("a", [tokens(number, 4)]) for number in range(10)))

    asyncio.run(within(compute, work, max_wait=0.2))
    assert [len(some) for _, some, _ in compute.batches] == [10]


def test_a_full_batch_does_not_wait_and_others_wait_no_longer_than_they_may():
    async def work(batcher, count):
        start = time.perf_counter()
        await batcher.submit("a", [tokens(0, 8)] * count)
        return time.perf_counter() - start

    assert asyncio.run(within(Computed(), lambda batcher: work(batcher, 8), max_wait=5)) < 2
    assert 0.3 <= asyncio.run(within(Computed(), lambda batcher: work(batcher, 7), max_wait=0.3)) < 2


def test_a_small_request_does_not_wait_until_a_large_one_is_through():
    compute = Computed(seconds=0.005)

    async def work(batcher):
        large = asyncio.create_task(batcher.submit("a", [tokens(number, 32) for number in range(100)]))
        await asyncio.sleep(0.02)
        await batcher.submit("a", [tokens(1000, 2)])
        assert not large.done()
        await large

    asyncio.run(within(compute, work))
    place = next(place for place, (_, some, _) in enumerate(compute.batches) if some == [1000])
    assert place < 20 and len(compute.batches) == 51


def test_texts_that_wait_are_dropped_with_their_request():
    compute = Computed(seconds=0.1)

    async def work(batcher):
        first = asyncio.create_task(batcher.submit("a", [tokens(0, 60)]))
        await asyncio.sleep(0.05)  # it is computed now
        second = asyncio.create_task(batcher.submit("a", [tokens(number, 60) for number in (1, 2)]))
        await asyncio.sleep(0.01)
        assert batcher.waiting == 2
        second.cancel()
        await asyncio.wait({second})
        assert batcher.waiting == 0
        await first
        await batcher.submit("a", [tokens(3, 60)])

    asyncio.run(within(compute, work))
    assert [some for _, some, _ in compute.batches] == [[0], [3]]


def test_a_text_that_fails_fails_its_own_request_alone():
    compute = Computed(bad={3})

    async def work(batcher):
        return await asyncio.gather(
            *(batcher.submit("a", [tokens(2 * number, 4), tokens(2 * number + 1, 4)]) for number in range(4)),
            return_exceptions=True,
        )

    found = asyncio.run(within(compute, work, max_wait=0.1))
    assert isinstance(found[1], RuntimeError) and str(found[1]) == "bad text"
    assert [one.tolist() for one in found[:1] + found[2:]] == [[[2 * n, 4], [2 * n + 1, 4]] for n in (0, 2, 3)]


def test_batches_are_counted_with_their_padding():
    counted = []

    async def work():
        async with Batcher(Computed(), max_tokens=64, max_wait=0, on_batch=lambda *of: counted.append(of)) as batcher:
            await batcher.submit("a", [tokens(0, 4), tokens(1, 3)])

    asyncio.run(work())
    ((texts, padded, seconds),) = counted
    assert (texts, padded) == (2, 8) and 0 <= seconds < 1
