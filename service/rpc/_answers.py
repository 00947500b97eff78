"""Bounds the bytes of answers over gRPC, which holds them until the client has read them.

gRPC neither reports how much has been read nor ends a call whose client does not read. So the bytes are bounded, in
all and for each caller, and every connection ends some time after its maximum age, so no answer waits longer.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc

from service.admission import AnswerLimiter
from service.errors import Unavailable

SHARE = 2
"""A caller may hold half of the bytes, so that others have room while it does not read."""


class UnreadAnswers:
    """The unread answers of all calls.

    Args:
        limiter: counts them; separate from HTTP's, since answers over gRPC cannot be dropped to make room.
    """

    def __init__(self, limiter: AnswerLimiter) -> None:
        self._limiter = limiter
        self._held: Counter[str] = Counter()

    def hold(self, size: int, caller: str, context: grpc.aio.ServicerContext) -> None:
        """Count an answer until its call has ended.

        Raises:
            Unavailable: if it does not fit beside the unread ones.
        """
        held = self._held[caller]
        if held and held + size > self._limiter.limit // SHARE:
            raise Unavailable("too many bytes of answers are waiting for this client to read them")
        self._limiter.take(size)
        self._held[caller] += size

        def ended(_: Any) -> None:
            self._limiter.give_back(size)
            self._held[caller] -= size
            if not self._held[caller]:
                del self._held[caller]

        context.add_done_callback(ended)
