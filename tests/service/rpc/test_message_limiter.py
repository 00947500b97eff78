"""Messages are read when there is room for them, and are waited for no longer than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from tritonclient.grpc import service_pb2 as pb

from service.errors import BodyTooSlow, MalformedRequest, Unavailable
from service.memory import resident_bytes
from service.protocol import InferenceRequest, InferenceResponse
from service.rpc._interceptor import packing
from service.rpc._message_limiter import MessageLimiter, Parcel
from service.rpc._servicer import InferenceServicer

MESSAGE = Parcel(pb.ModelInferRequest(), size=40)


async def coming(arrived: asyncio.Event) -> AsyncIterator[Parcel]:
    await arrived.wait()
    yield MESSAGE


async def test_a_message_counts_as_the_longest_while_it_comes_and_then_as_what_it_is() -> None:
    limiter = MessageLimiter(limit=100, limit_together=150, seconds=5)
    first_arrived, second_arrived = asyncio.Event(), asyncio.Event()
    second_arrived.set()
    read: list[str] = []
    done = asyncio.Event()

    async def call(name: str, arrived: asyncio.Event) -> None:
        async with limiter.receive(coming(arrived)) as message:
            assert message is MESSAGE
            read.append(name)
            await done.wait()

    first = asyncio.create_task(call("first", first_arrived))
    await asyncio.sleep(0)
    second = asyncio.create_task(call("second", second_arrived))
    await asyncio.sleep(0.01)
    assert read == []  # the second one has come, and nobody looks
    first_arrived.set()
    await asyncio.sleep(0.01)
    assert read == ["first", "second"]
    third = asyncio.create_task(call("third", second_arrived))
    await asyncio.sleep(0.01)
    assert read == ["first", "second"]  # 80 bytes are held, and 100 may be needed
    done.set()
    await asyncio.gather(first, second, third)
    assert read == ["first", "second", "third"]


async def test_a_slow_message_is_given_up_and_its_room_is_given_back() -> None:
    limiter = MessageLimiter(limit=100, limit_together=100, seconds=0.02)
    for _ in range(2):
        with pytest.raises(BodyTooSlow):
            async with limiter.receive(coming(asyncio.Event())):
                pass


async def test_who_finds_no_room_in_time_may_come_again() -> None:
    limiter = MessageLimiter(limit=100, limit_together=100, seconds=0.02)
    arrived = asyncio.Event()
    arrived.set()
    async with limiter.receive(coming(arrived)):
        with pytest.raises(Unavailable) as caught:
            async with limiter.receive(coming(arrived)):
                pass
    assert caught.value.retry_after


async def test_a_call_may_end_without_a_message() -> None:
    async def nothing() -> AsyncIterator[Parcel]:
        return
        yield

    with pytest.raises(MalformedRequest):
        async with MessageLimiter(100, 100, 1).receive(nothing()):
            pass


def test_a_parcel_keeps_nothing_and_says_what_is_wrong() -> None:
    parse = packing(pb.ModelInferRequest.FromString, 100)
    parcel = parse(pb.ModelInferRequest(id="7").SerializeToString())
    assert parcel.size == 9 * 3
    assert parcel.take().id == "7"
    assert parcel.take() is None
    with pytest.raises(MalformedRequest, match="cannot be parsed"):
        parse(b"\xff\xff").take()


async def test_a_message_is_not_held_beside_the_request_that_is_made_of_it() -> None:
    size = 40_000_000  # longer than what an allocator keeps
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=[size])
    data = pb.ModelInferRequest(inputs=[tensor], raw_input_contents=[bytes(size)]).SerializeToString()
    held = []

    class Plane:
        async def infer(self, request: InferenceRequest, ticket: Any) -> InferenceResponse:
            held.append(resident_bytes() - before)
            return InferenceResponse("brighten", 1, "", ())

    before = resident_bytes()
    parcel = packing(pb.ModelInferRequest.FromString, 10_000)(data)
    ticket = SimpleNamespace(reserve=lambda model, version: None)
    await InferenceServicer(Plane()).ModelInfer(parcel.take(), ticket)  # type: ignore[arg-type]
    assert held[0] < 1.5 * size
