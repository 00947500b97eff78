"""Limits on messages of calls that run no model: they are short, arrive quickly, and are few at one time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from service.admission import Budget
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone, MalformedRequest, NightliftError, Unavailable

LONGEST = 4096
"""Most bytes of a message. gRPC has one limit for all calls, and receives up to it before it shows a message."""

MAX_CONCURRENT = 1
"""Most messages that arrive at one time: they may hold twice gRPC's limit each."""

PATIENCE = 0.1
"""Seconds in which a message must arrive while others wait to be read."""


class ShortMessages:
    """Reads messages that normally arrive within a millisecond; slower ones may be an attack.

    Args:
        seconds: time in which a message must arrive; `PATIENCE` while others wait.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places = Budget(MAX_CONCURRENT)
        self._waiting = 0

    async def receive(self, messages: AsyncIterator[Any], caller: str) -> Any:
        """The next message, as its deserializer made it; None if the client has ended the call.

        Raises:
            Unavailable: if it was not read in time.
            BodyTooSlow: if it did not arrive in time.
            NightliftError: the error that `short` returned for it.
        """
        end = time.monotonic() + self._seconds
        self._waiting += 1
        is_waiting = True
        try:
            async with (
                asyncio.timeout_at(asyncio.get_running_loop().time() + self._seconds),
                self._places.hold(1, caller),
            ):
                self._waiting -= 1
                is_waiting = False
                message = await self._read(messages, end)
        except TimeoutError:
            raise Unavailable("too many messages are being sent to the service now") from None
        finally:
            self._waiting -= is_waiting
        if isinstance(message, NightliftError):
            raise message
        return message

    async def _read(self, messages: AsyncIterator[Any], end: float) -> Any:
        reading = asyncio.ensure_future(anext(messages, None))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=min(PATIENCE, max(0.0, end - time.monotonic())))
                if not reading.done() and (self._waiting or time.monotonic() >= end):
                    raise BodyTooSlow(
                        f"the message had not arrived after {self._seconds:g} s, or others were waiting"
                    )
            return reading.result()
        except grpc.aio.BaseError:
            raise ClientGone("the client left before its message had arrived") from None
        finally:
            reading.cancel()


def short(parse: Any) -> Any:
    """A deserializer that returns an error instead of a message that is too long or cannot be parsed."""

    def parse_or_say(data: bytes) -> Any:
        if len(data) > LONGEST:
            return BodyTooLarge(f"a message of this call may have {LONGEST} bytes", limit_bytes=LONGEST)
        try:
            return parse(data)
        except Exception:
            return MalformedRequest("the message cannot be parsed: its bytes do not follow the protocol")

    return parse_or_say
