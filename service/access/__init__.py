"""Who may call, how often, and over what: API keys, rate limits, client addresses, TLS. Transports are thin over it.

A `Gate` decides about a call from three things that every transport has before the body: the scope that the call
needs, the `authorization` that came with it, and the caller's address. Without keys and limits there is no gate at
all, and a call costs nothing more.
"""

from service.access._addresses import Network, forwarded_for, grpc_peer
from service.access._caller import Charge, charge_pixels, charging
from service.access._gate import Gate, open_gate
from service.access._handshake import Certificate, shown_certificate
from service.access._keys import Key, KeyFile, Scope, read_keys
from service.access._registry import add_key, revoke_key
from service.access._tls import TlsFiles

__all__ = [
    "Certificate",
    "Charge",
    "Gate",
    "Key",
    "KeyFile",
    "Network",
    "Scope",
    "TlsFiles",
    "add_key",
    "charge_pixels",
    "charging",
    "forwarded_for",
    "grpc_peer",
    "open_gate",
    "read_keys",
    "revoke_key",
    "shown_certificate",
]
