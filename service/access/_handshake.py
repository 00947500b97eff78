"""What a client is shown: the service's certificate, from a handshake of the service with itself, in memory."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from service.access._tls import TlsFiles


@dataclass(frozen=True)
class Certificate:
    """A certificate that works: for which names, and until when."""

    names: tuple[str, ...]
    expires: datetime


def shown_certificate(files: TlsFiles) -> Certificate:
    """The certificate as a client sees it that trusts the certificate itself, whoever has signed it.

    Raises:
        ValueError: if the files cannot be used, or the certificate has expired or is not yet good.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_context = files.context()
    server_context.verify_mode = ssl.CERT_NONE
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(files.certificate)
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    try:
        while waiting:
            turn = waiting.pop(0)
            try:
                turn.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(turn)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        raise ValueError(f"the certificate {files.certificate} is no good: {reason}") from None
    shown = client.getpeercert() or {}
    names = tuple(str(entry[1]) for entry in shown.get("subjectAltName", ()))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    return Certificate(names, expires)
