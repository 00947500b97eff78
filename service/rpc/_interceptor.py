"""Wraps every gRPC call: it gets a ticket, is counted and timed, and its error becomes a status code."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from service.admission import Call, Scope, caller_address, forwarded_for, grpc_peer
from service.errors import MalformedRequest, NightliftError
from service.protocol.grpc_codec import check_structure, passing_bytes
from service.rpc._answers import UnreadAnswers
from service.rpc._message_limiter import MessageLimiter, Parcel
from service.rpc._short_messages import ShortMessages, short
from service.runtime import Runtime
from service.telemetry import recorded

logger = logging.getLogger("nightlift")

Answer = Callable[[Any, Any], Awaitable[Any]]

OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
INFERENCE = "/inference.GRPCInferenceService/"
INFER = f"{INFERENCE}ModelInfer"
OPEN_METHODS = frozenset({f"{INFERENCE}ServerLive", f"{INFERENCE}ServerReady"})
ADMIN_METHODS = frozenset({f"{INFERENCE}RepositoryModelLoad", f"{INFERENCE}RepositoryModelUnload"})


def scope_needed(method: str) -> Scope | None:
    """The scope that a key for this method must have; None if no key is needed. Unknown methods need a key."""
    if method in OPEN_METHODS or method.startswith(OPEN_SERVICES):
        return None
    return Scope.ADMIN if method in ADMIN_METHODS else Scope.ENHANCE


class AdmissionInterceptor(grpc.aio.ServerInterceptor):
    """Maps errors by their attributes, and counts calls beside those of HTTP: route is the method's full name.

    Args:
        runtime: gives tickets for calls, before their message is read.
        inferences: reads the messages that run a model, which may be long and slow. All others are short, and are
            read apart, by kind, so that they wait neither for these nor for those of strangers.
        answers: count answers until they have been read.
    """

    def __init__(self, runtime: Runtime, inferences: MessageLimiter, answers: UnreadAnswers) -> None:
        self._metrics = runtime.metrics
        self._max_structure = runtime.settings.max_json_bytes
        self._trusted = runtime.settings.trusted_proxies
        self._admission = runtime.admission
        self._inferences = inferences
        self._answers = answers
        seconds = runtime.settings.header_timeout
        self._probes, self._streams, self._others = (ShortMessages(seconds) for _ in range(3))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Wrap calls with one request and one answer; of streams (health, reflection), only messages are limited."""
        handler = await continuation(details)
        if handler is None or not _is_implemented(handler):
            return None
        if (need := scope_needed(details.method)) is None:
            return self._open(details.method, handler)
        if handler.unary_unary is None:
            return None
        if details.method == INFER:
            answer = self._inferring(need, handler.unary_unary)
            parse = packing(handler.request_deserializer, self._max_structure)
        else:
            answer, parse = self._admitted(need, handler.unary_unary), short(handler.request_deserializer)
        # As a stream of one request: gRPC would read the request of a unary call before it calls us.
        return grpc.stream_unary_rpc_method_handler(
            self._bounded(details.method, answer),
            request_deserializer=parse,
            response_serializer=passing_bytes(handler.response_serializer),
        )

    def _open(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """Wrap a call that needs no key: its messages are short, and are read in turn."""
        messages = self._streams if handler.stream_stream else self._probes
        options = {
            "request_deserializer": short(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }

        def caller(context: grpc.aio.ServicerContext) -> str:
            return caller_address(grpc_peer(context.peer()))

        if answer := handler.unary_unary:

            async def answered(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> Any:
                return await answer(_present(await messages.receive(requests, caller(context))), context)

            return grpc.stream_unary_rpc_method_handler(self._bounded(method, answered), **options)

        async def streamed(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async def received() -> AsyncIterator[Any]:
                while (request := await messages.receive(requests, caller(context))) is not None:
                    yield request

            try:
                if handler.unary_stream:
                    request = _present(await messages.receive(requests, caller(context)))
                    answers = handler.unary_stream(request, context)
                else:
                    answers = handler.stream_stream(received(), context)
                async with aclosing(answers):
                    async for part in answers:
                        yield part
            except NightliftError as error:
                await self._refuse(context, error)

        return grpc.stream_stream_rpc_method_handler(streamed, **options)

    def _inferring(self, need: Scope, answer: Answer) -> Answer:
        async def inferred(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> Any:
            with self._admission.admit(self._call(need, context)) as ticket:
                async with self._inferences.receive(requests, ticket.caller) as parcel:
                    return await answer(parcel.take(), ticket)  # instead of gRPC's context

        return inferred

    def _admitted(self, need: Scope, answer: Answer) -> Answer:
        async def admitted(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> Any:
            with self._admission.admit(self._call(need, context)) as ticket:
                return await answer(_present(await self._others.receive(requests, ticket.caller)), ticket)

        return admitted

    def _call(self, need: Scope, context: grpc.aio.ServicerContext) -> Call:
        metadata, remaining = context.invocation_metadata() or (), context.time_remaining()
        chain = [value for name, value in metadata if name == "x-forwarded-for"]
        return Call(
            need=need,
            authorization=next((value for name, value in metadata if name == "authorization"), None),
            address=forwarded_for(grpc_peer(context.peer()), chain, self._trusted),
            seconds=math.inf if remaining is None else remaining,
        )

    def _bounded(self, method: str, answer: Answer) -> Answer:
        async def bounded(request: Any, context: grpc.aio.ServicerContext) -> Any:
            texts = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
            with recorded(self._metrics, "grpc", "gRPC", texts) as record:
                record.route = method
                try:
                    result = await answer(request, context)
                    if isinstance(result, bytes):  # that of a model; all others are short
                        self._answers.hold(len(result), caller_address(grpc_peer(context.peer())), context)
                    record.answered(200, grpc.StatusCode.OK.name)
                    return result
                except NightliftError as error:
                    record.answered(int(error.status), error.grpc_code)
                    await self._refuse(context, error)
                except Exception as error:
                    logger.error("%s failed", method, exc_info=error)
                    failure = NightliftError("the error was logged; the request may be repeated")
                    record.answered(int(failure.status), failure.grpc_code)
                    await self._refuse(context, failure)

        return bounded

    async def _refuse(self, context: grpc.aio.ServicerContext, error: NightliftError) -> None:
        """End the call, with `retry-after` in seconds as on HTTP, and in the form that gRPC clients' retries use."""
        self._metrics.failed(error)
        if error.retry_after is not None:
            context.set_trailing_metadata(
                (
                    ("retry-after", str(math.ceil(error.retry_after))),
                    ("grpc-retry-pushback-ms", str(math.ceil(error.retry_after * 1000))),
                )
            )
        await context.abort(grpc.StatusCode[error.grpc_code], error.detail)


def _present(message: Any) -> Any:
    if message is None:
        raise MalformedRequest("the call brought no message")
    return message


def _is_implemented(handler: grpc.RpcMethodHandler) -> bool:
    """Whether it is one of ours, all of which are asynchronous; the generated base class has plain functions.

    Those would answer UNIMPLEMENTED too, but log a traceback for every call.
    """
    method = handler.unary_unary or handler.unary_stream or handler.stream_stream
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def packing(parse: Callable[[bytes], Any], max_structure: int) -> Callable[[bytes], Parcel]:
    """A deserializer of long messages, which refuses those that cannot or must not be parsed as the caller's error.

    gRPC itself would parse before calling us, and report a failure as INTERNAL, with a traceback in the log.
    """

    def parse_or_say(data: bytes) -> Parcel:
        try:
            size = check_structure(data, max_structure)
            return Parcel(parse(data), size)
        except DecodeError:
            return Parcel(MalformedRequest("the message cannot be parsed: its bytes do not follow the protocol"))
        except NightliftError as error:
            return Parcel(error)

    return parse_or_say
