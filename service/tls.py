"""TLS for both transports from one pair of files, which may be renewed while the service runs.

New connections get the new certificate: both transports check the files at each handshake, which takes milliseconds
anyway. A pair that does not match (in the middle of a renewal) is not used; the previous one stays. The authority of
client certificates is read once, at the start.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import grpc

from service.file_watcher import FileWatcher
from service.settings import Settings

T = TypeVar("T")

logger = logging.getLogger("nightlift")


class TlsFiles:
    """A certificate with its chain, its key, and perhaps the authority whose certificates clients must show."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self.certificate = certificate
        self.key = key
        self.client_ca = client_ca

    @classmethod
    def of(cls, settings: Settings) -> TlsFiles | None:
        """The files of the settings; None if the service does not use TLS."""
        if settings.tls_certificate is None or settings.tls_key is None:
            return None
        return cls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)

    def context(self) -> ssl.SSLContext:
        """For HTTP: a context of TLS 1.2 and later.

        Raises:
            ValueError: if a file cannot be read, or certificate and key do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # ssl's own errors are of this kind, too
            names = ", ".join(str(path) for path in (self.certificate, self.key, self.client_ca) if path)
            raise ValueError(f"TLS is not possible with {names}: {error.strerror or error}") from None
        return context

    def renewing_context(self) -> ssl.SSLContext:
        """The same, always with the newest certificate. Raises as `context` does."""
        first = current = self.context()
        renewed = self._renewed(self.context)

        def take_newest(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            nonlocal current
            current = renewed() or current
            connection.context = current

        first.sni_callback = take_newest  # called for clients that send no name, too
        return first

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC, renewed in the same way. Raises as `context` does."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._renewed(self._configuration), self.client_ca is not None
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        self.context()  # checks that the files match; gRPC would not
        pair = (self.key.read_bytes(), self.certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration(
            [pair], root_certificates=self.client_ca.read_bytes() if self.client_ca else None
        )

    def _renewed(self, read: Callable[[], T]) -> Callable[[], T | None]:
        """A function that reads the files if they have changed and are usable; otherwise it returns None."""
        watcher = FileWatcher(self.certificate, self.key)

        def read_if_changed() -> T | None:
            if not watcher.changed():
                return None
            try:
                fresh = read()
            except (OSError, ValueError) as error:
                if watcher.reject():
                    logger.error("%s; the certificate read before stays in use", error)
                return None
            watcher.accept()
            logger.info("the TLS certificate was renewed from %s", self.certificate)
            return fresh

        return read_if_changed


@dataclass(frozen=True)
class Certificate:
    """A valid certificate: its names, and its end of validity."""

    names: tuple[str, ...]
    expires: datetime


def shown_certificate(files: TlsFiles) -> Certificate:
    """The certificate as a client sees it that trusts the certificate itself, whoever has signed it.

    Raises:
        ValueError: if the files cannot be used, or the certificate has expired or is not yet valid.
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
        raise ValueError(f"the certificate {files.certificate} is invalid: {reason}") from None
    shown = client.getpeercert() or {}
    names = tuple(str(entry[1]) for entry in shown.get("subjectAltName", ()))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    return Certificate(names, expires)
