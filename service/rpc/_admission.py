"""Keys and limits over gRPC: which method needs what, and what a call brings along to be judged by."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from service.access import Charge, Gate, Network, Scope, forwarded_for, grpc_peer

OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
INFERENCE = "/inference.GRPCInferenceService/"
INFER = f"{INFERENCE}ModelInfer"
OPEN_METHODS = frozenset({f"{INFERENCE}ServerLive", f"{INFERENCE}ServerReady"})
ADMIN_METHODS = frozenset({f"{INFERENCE}RepositoryModelLoad", f"{INFERENCE}RepositoryModelUnload"})


def scope_needed(method: str) -> Scope | None:
    """The scope that a key for this method must have; None where no key is needed. Unknown methods are not open."""
    if method in OPEN_METHODS or method.startswith(OPEN_SERVICES):
        return None
    return Scope.ADMIN if method in ADMIN_METHODS else Scope.ENHANCE


class Admission:
    """Asks the gate about calls; `trusted` are the proxies whose `x-forwarded-for` is believed."""

    def __init__(self, gate: Gate, trusted: Sequence[Network]) -> None:
        self._gate = gate
        self._trusted = trusted

    def admit(self, need: Scope, context: grpc.aio.ServicerContext) -> Charge | None:
        """See `Gate.admit`."""
        metadata = context.invocation_metadata() or ()
        authorization = next((value for name, value in metadata if name == "authorization"), None)
        return self._gate.admit(need, authorization, lambda: self._address(context))

    def _address(self, context: grpc.aio.ServicerContext) -> str:
        peer = grpc_peer(context.peer())
        if not self._trusted:
            return peer
        metadata = context.invocation_metadata() or ()
        return forwarded_for(peer, [value for name, value in metadata if name == "x-forwarded-for"], self._trusted)
