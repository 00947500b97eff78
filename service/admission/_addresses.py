"""Where a call comes from: the client's address behind trusted proxies, and what of it identifies a caller."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import unquote

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:]*))(?::\d+)?")
SUBSCRIBER_BITS = 64
"""Length of the IPv6 prefix that is assigned to one subscriber."""


def forwarded_for(peer: str, chain: Sequence[str], trusted: Sequence[Network]) -> str:
    """The client's address for a call that came from `peer`; for HTTP uvicorn finds it by the same rule.

    Args:
        peer: address of the connected peer.
        chain: values of `x-forwarded-for`, each one or several addresses, the client's first.
        trusted: trusted proxies. Each of them appended the address of its peer, so the last address that is not one
            of theirs is the client's; anybody may have written those before it.
    """
    address = peer
    for name in reversed([_without_port(name.strip()) for value in chain for name in value.split(",")]):
        if not name or not _is_in(address, trusted):
            break
        address = name
    return address


def grpc_peer(peer: str) -> str:
    """The address in what gRPC calls a peer: `ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`."""
    return _without_port(unquote(peer).partition(":")[2])


def caller_of(peer: str, chain: str | None, trusted: Sequence[Network]) -> str:
    """The identity of a request's caller.

    Args:
        peer: address of the connected peer.
        chain: value of `x-forwarded-for`, if there is one.
        trusted: see `forwarded_for`.
    """
    return caller_address(forwarded_for(peer, [chain] if chain else [], trusted))


def caller_address(address: str) -> str:
    """The identity of a caller: an IPv4 address, or the subscriber's prefix of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed, SUBSCRIBER_BITS), strict=False))


def _without_port(address: str) -> str:
    match = WITH_PORT.fullmatch(address)
    return (match["v6"] or match["v4"] or address) if match else address


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
