import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from quaterion_runtime.serve.bodies import TOGETHER, Bodies
from quaterion_runtime.serve.errors import ApiError


def request(*chunks, more=False, seconds=0.0):
    """A request whose body comes in chunks; with `more` it never ends, without chunks its client leaves."""
    messages = [{"type": "http.request", "body": one, "more_body": True} for one in chunks]
    if messages and not more:
        messages[-1]["more_body"] = False

    async def receive():
        await asyncio.sleep(seconds)
        if messages:
            return messages.pop(0)
        if more:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def read(bodies, *chunks, **options):
    async with bodies.read(request(*chunks, **options)) as body:
        return bytes(body)


def test_a_body_is_put_together_up_to_the_limit():
    async def work():
        bodies = Bodies(10, 1)
        assert await read(bodies, b"12345", b"", b"67890") == b"1234567890"
        for chunks in ([b"12345", b"678901"], [b"1" * 11], [b"1" * 11, b"2"]):
            with pytest.raises(ApiError, match="more than 10 bytes") as e:
                await read(bodies, *chunks)
            assert (e.value.status, e.value.code) == (413, "body_too_large")

    asyncio.run(work())


def test_one_that_is_much_too_large_is_not_read_to_its_end():
    with pytest.raises(ApiError, match="more than 10 bytes"):
        asyncio.run(read(Bodies(10, 5), *[b"1" * 10] * 17, more=True))


def test_one_that_does_not_come_or_whose_client_leaves_ends():
    with pytest.raises(ApiError, match=r"did not come within 0\.1 seconds") as e:
        asyncio.run(read(Bodies(10, 0.1), b"1", more=True))
    assert e.value.status == 408
    with pytest.raises(ClientDisconnect):
        asyncio.run(read(Bodies(10, 1)))


def test_bodies_are_held_together_up_to_a_limit_and_given_back():
    async def work():
        bodies = Bodies(10, 1)
        held = [bodies.read(request(b"1" * 10)) for _ in range(TOGETHER)]
        for one in held:
            await one.__aenter__()
        with pytest.raises(ApiError, match="Too many bodies are held") as e:
            await read(bodies, b"1")
        assert e.value.status == 429
        await held[0].__aexit__(None, None, None)
        assert await read(bodies, b"1" * 10) == b"1" * 10
        for one in held[1:]:
            await one.__aexit__(None, None, None)
        for _ in range(3 * TOGETHER):  # those that fail hold nothing either
            with pytest.raises(ApiError, match="more than 10"):
                await read(bodies, b"1" * 8, b"1" * 8)
        assert await read(bodies, b"1" * 10) == b"1" * 10

    asyncio.run(work())


def test_a_timeout_of_what_is_done_with_a_body_is_not_the_body_s():
    async def work():
        async with Bodies(10, 1).read(request(b"1")):
            raise TimeoutError("other")

    with pytest.raises(TimeoutError, match="other"):
        asyncio.run(work())
