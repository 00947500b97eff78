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
from typing import Any, NoReturn

import uvicorn
import uvloop

from service.admission import open_policy
from service.http import LoadShedder, allow_many_connections, bounded_protocol, create_app
from service.inference import any_thread_runs
from service.rpc import RpcServer
from service.runtime import Phase, Runtime
from service.settings import Settings, misspelt_settings
from service.telemetry import configure_logging, start_tracing, stop_tracing
from service.tls import TlsFiles

logger = logging.getLogger("nightlift")

KEEP_ALIVE_SECONDS = 65  # above the usual idle time of proxies, which should close connections first

LAST_REQUEST_SECONDS = 1.0
"""Seconds in which open connections may still send a request; each closes after its answer."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; returns when all work is finished and everything is released.

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
    status: str | int | None = 1
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(_serve(settings), loop_factory=partial(ServiceLoop, settings.header_timeout))
        status = 0
    except SystemExit as end:
        status = end.code
        raise
    except Exception:
        if any_thread_runs():  # then nothing else would report it
            logger.exception("the service failed")
        raise
    finally:
        stop_tracing()
        if any_thread_runs():
            _end_now(status)


def _end_now(status: str | int | None) -> NoReturn:
    """End the process although a pass hangs.

    The interpreter's usual end would destroy the runtime under the thread that is inside it, and abort.
    """
    logger.warning("a pass is still running; the process ends without it")
    logging.shutdown()
    os._exit(status if isinstance(status, int) else 1)


class ServiceLoop(uvloop.Loop):
    """uvloop whose servers limit TLS handshakes to `handshake_seconds`; uvicorn would leave it at a minute."""

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
            proxy_headers=False,  # the application handles them itself
            ssl_context_factory=(lambda *_: tls.renewing_context()) if tls else None,
            lifespan="off",
            http=bounded_protocol(settings.header_timeout, runtime.answers, LoadShedder(runtime)),
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
        )
        loaded = asyncio.create_task(runtime.loaded())
        loaded.add_done_callback(
            lambda _: gc.freeze()
        )  # permanent objects: each collection would spend 0.1 s on them
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
    """A warning if everybody who can reach this machine can use the service; else empty."""
    if settings.keys_file or settings.tls_client_ca or _is_loopback(settings.host):
        return ""
    also = ", load and unload its models," if settings.model_control else ""
    return (
        f"OPEN TO EVERYBODY: the service listens on {settings.host}, beyond this machine, and requires no key; "
        f"anybody who can reach it can use it{also} without authentication. Set NIGHTLIFT_KEYS_FILE (`nightlift keys "
        "create`), or NIGHTLIFT_HOST=127.0.0.1, or restrict access with a firewall or a network policy"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening(host: str, port: int) -> list[socket.socket] | None:
    """A dual-stack socket for `::`, as gRPC has it; asyncio by itself would listen on IPv6 only.

    None for every other host: uvicorn creates the socket.

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
    """A uvicorn server that first reports not ready, keeps serving for a while, and only then stops, together with
    gRPC.

    uvicorn itself closes its listeners at the signal, which loses the requests that a load balancer still sends.
    """

    def __init__(self, config: uvicorn.Config, runtime: Runtime, rpc: RpcServer) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._rpc = rpc
        self._forced: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal; a second one stops at once."""
        delay = self._runtime.settings.drain_delay
        if self._runtime.phase is not Phase.SERVING or not delay:
            self._stop()
            return
        self._runtime.phase = Phase.DRAINING
        logger.info("draining: no longer ready, serving for another %.1f s", delay)
        asyncio.get_running_loop().call_later(delay, self._stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and give running requests, on both transports, the same time to finish.

        Every client that connected in time is answered. uvicorn would close connections that wait to be accepted, and
        idle ones on which a request is just arriving, without reading them.
        """
        end = time.monotonic() + LAST_REQUEST_SECONDS
        listeners = select.poll()
        for listener in (listener for server in self.servers for listener in server.sockets):
            listeners.register(listener.fileno(), select.POLLIN)
        while listeners.poll(0) and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0)  # uvloop accepts one connection meanwhile
        for server in self.servers:
            server.close()
        logger.info("closed: no new connections are accepted; running requests finish")
        while self.server_state.connections and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event for the end of a connection
        self._runtime.phase = Phase.STOPPING
        await asyncio.gather(super().shutdown(sockets), self._rpc.stop(self._runtime.settings.drain_timeout))

    def _stop(self) -> None:
        # uvicorn would raise the signal again at the end, but a drained service should exit with 0.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._runtime.phase = Phase.DRAINING
        if self.force_exit and self._forced is None:
            self._forced = asyncio.get_running_loop().create_task(self._rpc.stop(0))
