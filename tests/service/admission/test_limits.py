"""How often callers may call, over both transports: by key, and by address where there are no keys."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, serving
from tests.service.admission.conftest import HALF_A_PICTURE, ServiceWithKeys, bearer, call
from tests.service.conftest import metric

TRANSPORTS = ("http", "grpc")
FINE = {"http": 200, "grpc": "OK"}
FULL = {"http": 429, "grpc": "RESOURCE_EXHAUSTED"}
BURST = 2


@pytest.fixture(scope="module")
def limited(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service without keys, in which every address may call twice, and then every 1000 s; 127.0.0.1 is a proxy."""
    with serving(
        repository,
        tmp_path_factory.mktemp("limited"),
        default_model="brighten",
        rate_limit=0.001,
        rate_burst=BURST,
        trusted_proxies="127.0.0.1",
    ) as server:
        yield server


def test_a_key_has_its_burst_on_both_transports_together(guarded: ServiceWithKeys) -> None:
    headers = bearer(guarded.keys["slow"])
    outcomes = [call(transport, guarded.server, headers) for transport in ("http", "grpc", "http", "http", "grpc")]
    assert [outcome.code for outcome in outcomes] == [200, "OK", 200, 429, "RESOURCE_EXHAUSTED"]
    for outcome in outcomes[3:]:
        assert "more than 0.001 requests a second" in outcome.detail
        assert outcome.retry_after is not None
        assert 900 < outcome.retry_after <= 1000
    assert call("http", guarded.server, bearer(guarded.keys["enhance"])).code == 200


def test_pixels_are_charged_in_full_and_the_debt_is_waited_for(guarded: ServiceWithKeys) -> None:
    """The first picture is twice what a minute brings, so another one's turn comes in a minute."""
    headers = bearer(guarded.keys["small"])
    assert call("grpc", guarded.server, headers).code == "OK"
    for transport in TRANSPORTS:
        outcome = call(transport, guarded.server, headers)
        assert outcome.code == FULL[transport]
        assert f"more than {HALF_A_PICTURE} megapixels a minute" in outcome.detail
        assert outcome.retry_after is not None
        assert 40 <= outcome.retry_after <= 61


def test_raw_pixels_are_charged_too(guarded: ServiceWithKeys) -> None:
    shape = (1, 100, 100, 3)
    body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": shape, "data": [0] * math.prod(shape)}]}
    url, headers = f"{guarded.server.url}/v2/models/brighten/infer", bearer(guarded.keys["raw"])
    assert httpx.post(url, json=body, headers=headers).status_code == 200
    assert httpx.post(url, json=body, headers=headers).status_code == 429


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_without_keys_addresses_are_told_apart(limited: Server, transport: str) -> None:
    """The proxy's word about the last address counts; what the client wrote before it does not."""
    for client in (f"203.0.113.{TRANSPORTS.index(transport)}", f"198.51.100.{TRANSPORTS.index(transport)}"):
        chains = [f"{spoofed}, {client}" for spoofed in ("1.1.1.1", "2.2.2.2", "3.3.3.3")]
        codes = [call(transport, limited, {"x-forwarded-for": chain}).code for chain in chains]
        assert codes == [FINE[transport]] * BURST + [FULL[transport]]


def test_what_is_open_is_never_limited(limited: Server) -> None:
    for _ in range(BURST + 3):
        for path in ("/livez", "/readyz", "/metrics", "/"):
            assert httpx.get(limited.url + path).status_code == 200


def test_refusals_are_counted_without_naming_anybody(limited: Server) -> None:
    for _ in range(BURST + 1):
        call("http", limited, {"x-forwarded-for": "192.0.2.77"})
    assert metric(limited, "nightlift_rejected_total", reason="rate-limited") >= 1
    assert "192.0.2.77" not in httpx.get(f"{limited.url}/metrics").text
