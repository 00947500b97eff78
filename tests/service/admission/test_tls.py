"""TLS on both transports: with certificates, for servers and for clients, that are made here."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from nightlift.client import Client
from service.admission import Scope, add_key
from service.settings import Settings
from service.tls import TlsFiles
from tests.nightlift.commands import environment, nightlift
from tests.servers import START_SECONDS, Server, serving
from tests.service.admission.conftest import PICTURE, bearer, over_grpc, over_http

HEADER_TIMEOUT = 2.0
HEALTHCHECK = Path(__file__).parents[3] / "docker" / "healthcheck.py"


@dataclass
class Encrypted:
    """A service that speaks TLS, in a folder with `server.pem`, `server.key`, `ca.pem`, and one key."""

    server: Server
    authority: trustme.CA
    folder: Path
    key: str

    @property
    def url(self) -> str:
        """Where HTTP is served."""
        return f"https://localhost:{self.server.port}"

    def trusting(self) -> ssl.SSLContext:
        """What a client verifies the service with."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def channel(self, client: trustme.LeafCert | None = None) -> grpc.Channel:
        """To gRPC, verified; perhaps with a client's certificate."""
        own = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.cert_pem.bytes(), *own)
        return grpc.secure_channel(f"localhost:{self.server.grpc_port}", credentials)


def write_pair(authority: trustme.CA, folder: Path, **options: Any) -> trustme.LeafCert:
    """Issue a certificate for this machine and put it where the service looks, the certificate first."""
    issued = authority.issue_cert("localhost", "127.0.0.1", **options)
    (folder / "server.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (folder / "server.key").write_bytes(issued.private_key_pem.bytes())
    return issued


@contextmanager
def encrypted(repository: Path, folder: Path, **settings: object) -> Iterator[Encrypted]:
    """A running service with TLS and keys; what must be shown to it is up to `settings`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    write_pair(authority, folder)
    key = add_key(folder / "keys.json", "someone", frozenset({Scope.ENHANCE}))
    files = {"tls_certificate": "server.pem", "tls_key": "server.key", "keys_file": "keys.json"}
    paths = {name: folder / file for name, file in files.items()}
    with serving(repository, folder, wait=False, default_model="brighten", **paths, **settings) as server:
        yield Encrypted(server, authority, folder, key)


@pytest.fixture(scope="module")
def service(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """One that asks clients for keys alone."""
    with encrypted(repository, tmp_path_factory.mktemp("tls"), header_timeout=HEADER_TIMEOUT) as running:
        wait_ready(running, running.trusting())
        yield running


@pytest.fixture(scope="module")
def strict(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """One that asks clients for certificates, too."""
    folder = tmp_path_factory.mktemp("strict")
    with encrypted(repository, folder, tls_client_ca=folder / "ca.pem") as running:
        client = running.trusting()
        running.authority.issue_cert("client").configure_cert(client)
        wait_ready(running, client)
        yield running


def wait_ready(running: Encrypted, verify: ssl.SSLContext) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert running.server.process.poll() is None, running.server.log_text()
        try:
            if httpx.get(f"{running.url}/readyz", verify=verify).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(running.server.log_text())


def test_both_transports_serve_whoever_trusts_the_authority(service: Encrypted) -> None:
    assert over_http(service.url, bearer(service.key), verify=service.trusting()).code == 200
    assert over_http(service.url, {}, verify=service.trusting()).code == 401
    with service.channel() as channel:
        assert over_grpc(channel, bearer(service.key)).code == "OK"
        assert over_grpc(channel, {}).code == "UNAUTHENTICATED"


def test_nothing_is_served_unencrypted(service: Encrypted) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{service.server.port}/livez")
    with grpc.insecure_channel(service.server.grpc) as channel:
        assert over_grpc(channel, bearer(service.key)).code == "UNAVAILABLE"


def test_who_does_not_trust_the_authority_sends_nothing(service: Encrypted) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        over_http(service.url, bearer(service.key))


@pytest.mark.parametrize(("version", "served"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_old_versions_are_not_spoken(service: Encrypted, version: str, served: bool) -> None:
    context = service.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("localhost", service.server.port)) as plain:
        if not served:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname="localhost")
            return
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            assert connection.version() == version.replace("_", ".")


def test_curl_is_served(service: Encrypted) -> None:
    words = ["-sS", "-H", f"Authorization: Bearer {service.key}", "--data-binary", "@-", "-w", "%{http_code}"]
    files = ["--cacert", service.folder / "ca.pem", "-o", service.folder / "out.png"]
    run = subprocess.run(
        ["curl", *words, *files, f"{service.url}/enhance"],
        input=PICTURE,
        capture_output=True,
    )
    assert (run.stdout, run.stderr) == (b"200", b"")
    assert (service.folder / "out.png").read_bytes().startswith(b"\x89PNG")


def test_the_client_is_served(service: Encrypted) -> None:
    with Client(service.url, api_key=service.key, verify=service.trusting()) as client:
        assert client.ready()
        assert client.enhance(PICTURE).model == "brighten"


def test_the_command_is_served(service: Encrypted, tmp_path: Path) -> None:
    (tmp_path / "dark.png").write_bytes(PICTURE)
    words = ("enhance", tmp_path / "dark.png", "-o", tmp_path / "out", "--server", service.url)
    keyed = environment(NIGHTLIFT_API_KEY=service.key)
    served = nightlift(*words, "--ca", service.folder / "ca.pem", env=keyed)
    assert served.returncode == 0, served.stderr.decode()
    assert (tmp_path / "out" / "dark.png").read_bytes().startswith(b"\x89PNG")
    refused = nightlift(*words, "--overwrite", env=keyed)
    assert refused.returncode == 2
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr.decode()


def check_health(running: Encrypted, **more: str) -> int:
    """What the container's own check exits with."""
    run = subprocess.run(
        [sys.executable, "-S", HEALTHCHECK],
        env={"NIGHTLIFT_PORT": str(running.server.port), "NIGHTLIFT_TLS_CERTIFICATE": "server.pem", **more},
        capture_output=True,
        check=False,
    )
    return run.returncode


def test_the_containers_check_finds_it_healthy(service: Encrypted, strict: Encrypted) -> None:
    assert check_health(service) == 0
    assert check_health(service, NIGHTLIFT_TLS_CERTIFICATE="") == 1
    assert check_health(strict) == 1
    own = strict.authority.issue_cert("health")
    own.private_key_and_cert_chain_pem.write_to_path(strict.folder / "client.pem")
    assert check_health(strict, NIGHTLIFT_CLIENT_CERTIFICATE=str(strict.folder / "client.pem")) == 0


def test_clients_without_a_certificate_are_refused_where_one_is_wanted(strict: Encrypted) -> None:
    with pytest.raises(httpx.TransportError):
        over_http(strict.url, bearer(strict.key), verify=strict.trusting())
    with strict.channel() as channel:
        assert over_grpc(channel, bearer(strict.key)).code == "UNAVAILABLE"
    foreign = trustme.CA().issue_cert("client")
    context = strict.trusting()
    foreign.configure_cert(context)
    with pytest.raises(httpx.TransportError):
        over_http(strict.url, bearer(strict.key), verify=context)
    with strict.channel(foreign) as channel:
        assert over_grpc(channel, bearer(strict.key)).code == "UNAVAILABLE"


def test_clients_with_a_certificate_are_served(strict: Encrypted) -> None:
    own = strict.authority.issue_cert("client")
    context = strict.trusting()
    own.configure_cert(context)
    assert over_http(strict.url, bearer(strict.key), verify=context).code == 200
    with strict.channel(own) as channel:
        assert over_grpc(channel, bearer(strict.key)).code == "OK"


def test_a_renewed_certificate_is_served_without_a_restart(strict: Encrypted) -> None:
    """Also one whose key comes later than itself; and still only to clients that show their own."""
    before = {serial(strict, port) for port in (strict.server.port, strict.server.grpc_port)}
    assert len(before) == 1
    old = {name: (strict.folder / name).read_bytes() for name in ("server.pem", "server.key")}
    write_pair(strict.authority, strict.folder)
    new_key = (strict.folder / "server.key").read_bytes()
    (strict.folder / "server.key").write_bytes(old["server.key"])
    assert {serial(strict, port) for port in (strict.server.port, strict.server.grpc_port)} == before
    assert "the certificate read before stays in use" in strict.server.log_text()
    (strict.folder / "server.key").write_bytes(new_key)
    after = {serial(strict, port) for port in (strict.server.port, strict.server.grpc_port)}
    assert len(after) == 1
    assert after != before
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{strict.url}/livez", verify=strict.trusting())


def test_files_that_cannot_be_used_are_said_at_the_start(tmp_path: Path) -> None:
    write_pair(trustme.CA(), tmp_path)
    shutil.copy(tmp_path / "server.pem", tmp_path / "old.pem")
    write_pair(trustme.CA(), tmp_path)
    for certificate, words in (("old.pem", "KEY_VALUES_MISMATCH"), ("absent.pem", "No such file")):
        with pytest.raises(ValueError, match=words):
            TlsFiles(tmp_path / certificate, tmp_path / "server.key").context()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tls_key": "x"}, "NIGHTLIFT_TLS_CERTIFICATE and NIGHTLIFT_TLS_KEY go together"),
        ({"tls_client_ca": "x"}, "NIGHTLIFT_TLS_CLIENT_CA needs"),
        ({"metrics_open": False}, "NIGHTLIFT_METRICS_OPEN=false needs NIGHTLIFT_KEYS_FILE"),
        ({"cors_origins": "*"}, "cors_origins"),
        ({"cors_origins": "https://app.example/"}, "cors_origins"),
        ({"trusted_proxies": "proxy.example"}, "trusted_proxies"),
        ({"rate_limit": -1}, "rate_limit"),
    ],
)
def test_settings_that_leave_something_open_by_mistake_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(**settings)


def test_a_service_whose_keys_cannot_be_read_does_not_start(repository: Path, tmp_path: Path) -> None:
    settings = {"keys_file": tmp_path / "absent.json", "model_repository": repository}
    with serving(repository, tmp_path, wait=False, **settings) as server:
        assert server.process.wait(60) == 2
    assert (
        server.log_text()
        == f"nightlift: the keys file {tmp_path}/absent.json cannot be read: No such file or directory\n"
    )


def serial(service: Encrypted, port: int) -> str:
    """The serial number of the certificate that a port answers with."""
    context = service.trusting()
    service.authority.issue_cert("client").configure_cert(context)
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a greeting"])
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_handshake_that_does_not_end_is_ended(service: Encrypted, transport: str, sent: bytes) -> None:
    port = service.server.port if transport == "http" else service.server.grpc_port
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        connection.settimeout(HEADER_TIMEOUT + 10)
        started = time.monotonic()
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        assert HEADER_TIMEOUT / 2 < time.monotonic() - started < HEADER_TIMEOUT + 5
