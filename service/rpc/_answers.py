"""Answers over gRPC, which holds their bytes until the client has read them.

gRPC does not tell how far that is, and ends no call for it. So the bytes are bounded, in all and for each caller, and
a connection ends some time after it has become old: that is the longest that an answer may wait.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc

from service.admission import AnswerLimiter
from service.errors import Unavailable

SHARE = 2
"""A caller may hold this part of the bytes, the half: others have room while it does not read."""


class UnreadAnswers:
    """Those of all calls.

    Args:
        limiter: counts them; it is gRPC's alone, since nothing of it can be dropped to make room.
    """

    def __init__(self, limiter: AnswerLimiter) -> None:
        self._limiter = limiter
        self._held: Counter[str] = Counter()

    def hold(self, size: int, caller: str, context: grpc.aio.ServicerContext) -> None:
        """Count an answer until its call has ended.

        Raises:
            Unavailable: if it does not fit beside those that wait to be read.
        """
        held = self._held[caller]
        if held and held + size > self._limiter.limit // SHARE:
            raise Unavailable("too many bytes of answers wait for this client to read them")
        self._limiter.take(size)
        self._held[caller] += size

        def ended(_: Any) -> None:
            self._limiter.give_back(size)
            self._held[caller] -= size
            if not self._held[caller]:
                del self._held[caller]

        context.add_done_callback(ended)
