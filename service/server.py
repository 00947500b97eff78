"""The running service: HTTP and gRPC over one runtime, started, drained and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import time
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from service.admission import open_policy
from service.http import LoadShedder, allow_many_connections, bounded_protocol, create_app
from service.rpc import RpcServer
from service.runtime import Phase, Runtime
from service.settings import Settings, misspelt_settings
from service.telemetry import configure_logging, start_tracing, stop_tracing
from service.tls import TlsFiles

logger = logging.getLogger("nightlift")

KEEP_ALIVE_SECONDS = 65  # above the usual idle time of proxies, which must be the ones to close

LAST_REQUEST_SECONDS = 1.0
"""How long open connections may still bring a request once no new ones are taken. Each is closed by its answer."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; returns when everything has been finished and released.

    Raises:
        SystemExit: if a port cannot be taken.
        ValueError: if traces are asked for and their extra is not installed; or if the files of keys or of TLS cannot
            be used.
    """
    configure_logging(settings.log_level, settings.log_format)
    for sentence in misspelt_settings(os.environ):
        logger.warning("%s", sentence)
    if warning := open_to_strangers(settings):
        logger.warning("%s", warning)
    allow_many_connections()
    if settings.trace_endpoint:
        start_tracing(settings.trace_endpoint, settings.trace_ratio, version("nightlift"))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(_serve(settings), loop_factory=partial(ServiceLoop, settings.header_timeout))
    finally:
        stop_tracing()


class ServiceLoop(uvloop.Loop):
    """uvloop, whose servers give a TLS handshake `handshake_seconds`: uvicorn leaves it at a minute."""

    def __init__(self, handshake_seconds: float) -> None:
        super().__init__()
        self._handshake_seconds = handshake_seconds

    async def create_server(self, *args: Any, **options: Any) -> asyncio.AbstractServer:  # type: ignore[override]
        """See asyncio's loop."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_seconds
        return await super().create_server(*args, **options)


async def _serve(settings: Settings) -> None:
    tls = TlsFiles.of(settings)
    async with Runtime(settings) as runtime:
        runtime.admission.policy = open_policy(settings, runtime.metrics)
        config = uvicorn.Config(
            create_app(runtime),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the application looks at them itself
            ssl_context_factory=(lambda *_: tls.renewing_context()) if tls else None,
            lifespan="off",
            http=bounded_protocol(settings.header_timeout, runtime.answers, LoadShedder(runtime)),
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
        )
        loaded = asyncio.create_task(runtime.loaded())
        loaded.add_done_callback(lambda _: gc.freeze())  # what is there to stay: looking through it takes 0.1 s
        rpc = RpcServer(runtime, tls)
        await rpc.start()
        server = DrainingServer(config, runtime, rpc)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
            signal.signal(
                signal.SIGHUP, server.handle_exit
            )  # a terminal that closes stops the service as SIGTERM does
        try:
            await server.serve(listening(settings.host, settings.port))
        finally:
            await rpc.stop(0)  # also if HTTP's port was taken


def open_to_strangers(settings: Settings) -> str:
    """A warning where everybody who can reach this machine can use the service; else nothing."""
    if settings.keys_file or settings.tls_client_ca or _is_loopback(settings.host):
        return ""
    also = ", load and unload its models," if settings.model_control else ""
    return (
        f"OPEN TO EVERYBODY: the service listens on {settings.host}, beyond this machine, and asks for no key; who "
        f"can reach it can use it{also} without being asked who they are. Set NIGHTLIFT_KEYS_FILE (`nightlift keys "
        "create`), or NIGHTLIFT_HOST=127.0.0.1, or let a firewall or a network policy say who may connect"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening(host: str, port: int) -> list[socket.socket] | None:
    """The socket for `::`, which means both families, as it does for gRPC; asyncio alone would take it for IPv6 only.

    None for every other host: uvicorn makes it.

    Raises:
        SystemExit: the port cannot be taken.
    """
    if host != "::" or not socket.has_dualstack_ipv6():
        return None
    try:
        return [socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)]
    except OSError as error:
        logger.error("port %d cannot be taken: %s", port, error)
        raise SystemExit(1) from None


class DrainingServer(uvicorn.Server):
    """A uvicorn server that first says it is not ready, serves on for a while, and only then stops, gRPC too.

    uvicorn closes its listeners at the signal itself, which loses the requests that a load balancer still sends.
    """

    def __init__(self, config: uvicorn.Config, runtime: Runtime, rpc: RpcServer) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._rpc = rpc

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal; a second one stops at once."""
        delay = self._runtime.settings.drain_delay
        if self._runtime.phase is not Phase.SERVING or not delay:
            self._stop()
            return
        self._runtime.phase = Phase.DRAINING
        logger.info("draining: not ready any more, serving for another %.1f s", delay)
        asyncio.get_running_loop().call_later(delay, self._stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and give the requests under way, on both transports, the same time to finish.

        Whoever was connected in time is answered: uvicorn would close, unread, what waits to be accepted and what a
        client is just writing to a connection that looks idle.
        """
        end = time.monotonic() + LAST_REQUEST_SECONDS
        listeners = select.poll()
        for listener in (listener for server in self.servers for listener in server.sockets):
            listeners.register(listener.fileno(), select.POLLIN)
        while listeners.poll(0) and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0)  # in which uvloop accepts one connection
        for server in self.servers:
            server.close()
        logger.info("closed: no new connection is taken; what runs is finished")
        while self.server_state.connections and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event for a connection that ends
        self._runtime.phase = Phase.STOPPING
        await asyncio.gather(super().shutdown(sockets), self._rpc.stop(self._runtime.settings.drain_timeout))

    def _stop(self) -> None:
        # Not uvicorn's own way, which ends by raising the signal again: a drained service has ended well, with 0.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._runtime.phase = Phase.DRAINING
