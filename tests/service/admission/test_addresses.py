"""Where calls come from: what may be believed of `x-forwarded-for`, and what counts as one caller."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.admission import forwarded_for, grpc_peer
from service.admission._addresses import caller_address

TRUSTED = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]
CHAINS = [
    ("10.0.0.1", [], "10.0.0.1"),
    ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
    ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["198.51.100.7", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ("10.0.0.1", ["203.0.113.9:41000"], "203.0.113.9"),
    ("fd00::1", ["[2001:db8::1]:41000"], "2001:db8::1"),
    ("10.0.0.1", ["not-an-address"], "not-an-address"),
]


@pytest.mark.parametrize(("peer", "chain", "client"), CHAINS)
def test_the_last_address_that_is_no_proxy_is_the_client(peer: str, chain: list[str], client: str) -> None:
    assert forwarded_for(peer, chain, [ip_network(network) for network in TRUSTED]) == client


@pytest.mark.parametrize(("peer", "chain", "client"), [case for case in CHAINS if case[1]])
def test_http_finds_it_by_the_same_rule(peer: str, chain: list[str], client: str) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    headers = [(b"x-forwarded-for", value.encode()) for value in chain]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers}
    asyncio.run(ProxyHeadersMiddleware(app, TRUSTED)(scope, None, None))  # type: ignore[arg-type]
    assert seen == [client]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[2001:db8::7]:443", "2001:db8::7"),
        ("unix:/run/socket", "/run/socket"),
    ],
)
def test_peers_of_grpc(peer: str, address: str) -> None:
    assert grpc_peer(peer) == address


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("12:no address", "12:no address"),
        ("", ""),
    ],
)
def test_a_subscriber_is_caller_address(address: str, caller: str) -> None:
    assert caller_address(address) == caller
