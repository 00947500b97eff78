"""Answers that wait to be read: whose are dropped to make room, and when there is none."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from service.admission import AnswerLimiter
from service.admission._answers import STALLED_SECONDS
from service.errors import Unavailable
from service.http._answers import UnreadAnswers


@dataclass(eq=False)
class Waiting:
    """An answer of `size` bytes of which nothing was read for `seconds`."""

    limiter: AnswerLimiter
    size: int
    seconds: float

    def __post_init__(self) -> None:
        self.limiter.take(self.size)
        self.limiter.waiting.add(self)

    def last_progress(self, now: float) -> float:
        return now - self.seconds

    def drop(self) -> None:
        self.limiter.waiting.discard(self)
        self.limiter.give_back(self.size)
        self.size = 0


def test_those_that_have_not_been_read_for_longest_make_room() -> None:
    limiter = AnswerLimiter(limit=100, seconds=30)
    reading = Waiting(limiter, 30, 0)
    stalled = [Waiting(limiter, 20, STALLED_SECONDS + seconds) for seconds in (1, 5, 3)]
    limiter.take(25)
    assert [one.size for one in stalled] == [20, 0, 20]
    limiter.take(15)
    assert [one.size for one in stalled] == [20, 0, 0]
    assert reading.size == 30
    assert limiter.held == 90


def test_there_is_none_if_all_are_reading() -> None:
    limiter = AnswerLimiter(limit=100, seconds=30)
    Waiting(limiter, 90, STALLED_SECONDS / 2)
    with pytest.raises(Unavailable) as caught:
        limiter.take(20)
    assert caught.value.retry_after
    assert limiter.held == 90
    limiter.take(10)


def test_what_holds_nothing_is_not_dropped() -> None:
    limiter = AnswerLimiter(limit=100, seconds=30)
    idle = Waiting(limiter, 0, 100)
    Waiting(limiter, 90, 50)
    limiter.take(20)
    assert idle in limiter.waiting


def test_an_answer_beyond_the_limit_is_let_through_alone() -> None:
    limiter = AnswerLimiter(limit=100, seconds=30)
    limiter.take(10)
    with pytest.raises(Unavailable):
        limiter.take(101)
    limiter.give_back(10)
    limiter.take(101)
    with pytest.raises(Unavailable):
        limiter.take(1)


async def test_an_answer_for_a_connection_that_has_ended_takes_no_room() -> None:
    limiter = AnswerLimiter(limit=100, seconds=30)
    unread = UnreadAnswers(limiter, asyncio.Transport())
    unread.reserve(40)
    unread.close()
    unread.reserve(50)
    assert limiter.held == 0
