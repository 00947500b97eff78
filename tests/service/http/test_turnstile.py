"""Who is refused by a request's head, and by whom: what takes more to tell is left to the application."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from service.http._turnstile import Turnstile

from service.admission import Scope
from service.errors import ModelNotFound, NightliftError, QueueFull, Unauthenticated
from service.http._app import ROUTES
from service.runtime import Phase
from service.settings import Settings
from service.telemetry import Metrics

HEAD = [(b"host", b"x"), (b"x-request-id", b"mine")]
ENHANCE = b"/enhance?detail=whole"


class Gate:
    """Lets nobody in who has no key."""

    def admit(self, need: Scope, authorization: str | None, address: Any) -> None:
        """See `service.access.Gate`."""
        assert need is Scope.ENHANCE
        if authorization is None:
            raise Unauthenticated("no key")


def turnstile(
    error: NightliftError | None = None,
    gate: Any = None,
    phase: Phase = Phase.SERVING,
    **settings: Any,
) -> Turnstile:
    """One before a model that is full, unless another error, or room, is asked for."""

    def let_in(model: str | None, version: int | None) -> None:
        raise error or QueueFull("9 requests are waiting")

    runtime: Any = SimpleNamespace(
        enhancer=SimpleNamespace(let_in=let_in), metrics=Metrics(), phase=phase, settings=Settings(**settings)
    )
    return Turnstile(runtime, gate, ROUTES)


@pytest.mark.parametrize("url", [ENHANCE, b"/v2/models/m/infer", b"/v2/models/m/versions/2/infer", b"/%65nhance"])
def test_pictures_are_refused_with_all_that_an_answer_has(url: bytes) -> None:
    full = turnstile()
    refused = full.refused(url, HEAD, str)
    assert refused is not None
    status, lines, body = full.answer(refused)
    assert status == 503
    assert b"x-request-id: mine" in lines
    assert f"content-length: {len(body)}".encode() in lines
    assert {b"retry-after: 1", b"cache-control: no-store", b"x-content-type-options: nosniff"} <= set(lines)
    assert "9 requests are waiting" in json.dumps(json.loads(body))


def test_keys_are_asked_for_first() -> None:
    guarded = turnstile(gate=Gate())
    for header, status in ((None, 401), (b"Bearer good", 503)):
        head = [*HEAD, *([(b"authorization", header)] if header else [])]
        refused = guarded.refused(ENHANCE, head, str)
        assert refused is not None
        assert guarded.answer(refused)[0] == status


@pytest.mark.parametrize(
    "url",
    [
        b"/",
        b"/livez",
        b"/enhanced",
        b"/v2/models/m/versions/x/infer",
        b"/enhance?version=x",
        b"/enhance?version=0",
        b"/enhance?version=" + b"9" * 5000,
        b"/v2/models/m/versions/" + b"9" * 5000 + b"/infer",
    ],
)
def test_what_needs_no_room_passes(url: bytes) -> None:
    assert turnstile().refused(url, HEAD, str) is None
    turnstile().arrived(url)


def test_what_takes_more_to_tell_passes() -> None:
    foreign = [*HEAD, (b"origin", b"https://app.example")]
    assert turnstile(cors_origins="https://app.example").refused(ENHANCE, foreign, str) is None
    assert turnstile(phase=Phase.DRAINING).refused(ENHANCE, HEAD, str) is None
    assert turnstile(error=ModelNotFound("no such model")).refused(ENHANCE, HEAD, str) is None
    behind = turnstile(gate=Gate(), trusted_proxies="127.0.0.1")  # limits go by an address that the proxy tells
    assert behind.refused(ENHANCE, HEAD, str) is None
