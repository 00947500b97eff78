"""The gRPC server, put together."""

from __future__ import annotations

import logging

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.protocol import DataPlane
from service.rpc._answers import UnreadAnswers
from service.rpc._health import HealthServicer
from service.rpc._interceptor import AdmissionInterceptor
from service.rpc._message_limiter import MessageLimiter
from service.rpc._servicer import InferenceServicer
from service.runtime import Runtime
from service.tls import TlsFiles

logger = logging.getLogger("nightlift")

INFERENCE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

CONCURRENT_CALLS = 4096
"""Most concurrent calls, including streams; further ones are RESOURCE_EXHAUSTED."""

CONNECTION_CALLS = 256
"""Most concurrent calls on one connection; its client holds further ones back."""

UNREAD_BYTES = 64 * 1024
"""Most bytes of a call that may arrive before its message is read."""

METADATA_BYTES = 16 * 1024
"""Bytes of a call's metadata."""


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """False for clients that left before they had read their answer, which gRPC logs as failures with a traceback."""
    return record.exc_info is None or not isinstance(record.exc_info[1], grpc.aio.InternalError)


logging.getLogger("grpc._cython.cygrpc").addFilter(_is_worth_a_line)


class RpcServer:
    """gRPC for a runtime that the caller starts and stops.

    A request may have `max_body_bytes`, as on HTTP, and all requests that run a model together
    `max_body_bytes_in_flight`. The messages of all other calls must be short, and few of a kind are read at one time
    (`ShortMessages`). Answers count until they are read. Without TLS files nothing is encrypted.
    """

    def __init__(self, runtime: Runtime, tls: TlsFiles | None = None) -> None:
        settings = runtime.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._address = f"{host}:{settings.grpc_port}"
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            # Without this, a second server on the same port would start and silently take half of the calls.
            ("grpc.so_reuseport", 0),
            # Limits what a client may send of a call that is not being read; the default is 4 MiB. A message that is
            # read gets as much as it needs.
            ("grpc.http2.lookahead_bytes", UNREAD_BYTES),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.max_concurrent_streams", CONNECTION_CALLS),
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.server_handshake_timeout_ms", round(1000 * settings.header_timeout)),
            # An old connection takes no more calls, and ends when those under way have had their time: a client that
            # does not read its answer would have it kept for ever.
            ("grpc.max_connection_age_ms", round(1000 * settings.grpc_connection_age)),
            ("grpc.max_connection_age_grace_ms", round(1000 * (settings.request_timeout + settings.answer_timeout))),
            # A client that reads nothing at all does not answer pings either.
            ("grpc.keepalive_time_ms", round(1000 * settings.answer_timeout)),
            ("grpc.keepalive_timeout_ms", round(1000 * settings.answer_timeout)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        self._credentials = tls.credentials() if tls else None
        inferences = MessageLimiter(
            settings.max_body_bytes, settings.max_body_bytes_in_flight, settings.request_timeout
        )
        interceptor = AdmissionInterceptor(runtime, inferences, UnreadAnswers(runtime.rpc_answers))
        self._server = grpc.aio.server(
            interceptors=[interceptor], options=options, maximum_concurrent_rpcs=CONCURRENT_CALLS
        )
        plane = DataPlane(runtime)
        servicer = InferenceServicer(plane)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(plane, (INFERENCE, HEALTH)), self._server)
        reflection.enable_server_reflection((INFERENCE, HEALTH, reflection.SERVICE_NAME), self._server)

    async def start(self) -> int:
        """Begin to serve; the port that is listened on.

        Raises:
            SystemExit: if the port cannot be taken.
        """
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(self._address)
            else:
                port = self._server.add_secure_port(self._address, self._credentials)
        except RuntimeError:
            raise SystemExit(f"gRPC cannot listen on {self._address}: is the port taken?") from None
        await self._server.start()
        logger.info("gRPC listens on %s:%d", self._address.rpartition(":")[0], port)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls, and give running ones `grace` seconds to finish."""
        await self._server.stop(grace)
