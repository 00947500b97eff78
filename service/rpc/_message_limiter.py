"""Limits on incoming messages: the bytes of all of them together, and the time for one to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from service.admission import Budget
from service.errors import BodyTooSlow, ClientGone, MalformedRequest, NightliftError, Unavailable


class Parcel:
    """A message on its way to whoever answers it.

    gRPC keeps what its deserializer has made until the call ends. A message would so be held beside the request that
    is made of it, which has copies of its contents.

    Args:
        content: the message, or an error that takes its place.
        size: bytes that the request made of it will hold.
    """

    def __init__(self, content: Any, size: int = 0) -> None:
        self.size = size
        self._content = content

    def take(self) -> Any:
        """The message, which is not kept here; raises the error."""
        content, self._content = self._content, None
        if isinstance(content, NightliftError):
            raise content
        return content


class MessageLimiter:
    """Reads the one message of a call once there is room for it; until then its bytes stay with the client.

    gRPC does not announce the length of a message. So each counts with the maximum while it arrives, and with what
    it holds in memory until it is answered.

    Args:
        limit: most bytes of one message.
        limit_together: most bytes of all messages that are held at one time.
        seconds: time in which a message must arrive, including the wait for room.
    """

    def __init__(self, limit: int, limit_together: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._budget = Budget(limit_together)

    @asynccontextmanager
    async def receive(self, messages: AsyncIterator[Parcel], caller: str = "") -> AsyncIterator[Parcel]:
        """The call's message, as its deserializer made it; its bytes count as held until the block ends.

        Callers share the room fairly.

        Raises:
            Unavailable: if there was no room for it in time.
            BodyTooSlow: if it did not arrive in time.
            ClientGone: if the client left.
            MalformedRequest: if the call ends without one.
        """
        async with AsyncExitStack() as held:
            lease = None
            try:
                async with asyncio.timeout(self._seconds):
                    lease = await held.enter_async_context(self._budget.hold(self._limit, caller))
                    parcel = await anext(messages, None)
            except grpc.aio.BaseError:
                raise ClientGone("the client left before its message had arrived") from None
            except TimeoutError:
                if lease is None:
                    raise Unavailable("too many bytes are being sent to the service at this moment") from None
                raise BodyTooSlow(f"the message had not arrived after {self._seconds:g} s") from None
            if parcel is None:
                raise MalformedRequest("the call brought no message")
            lease.keep(parcel.size)
            yield parcel
