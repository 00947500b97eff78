"""Who may call, how often, and which requests are accepted, for both transports and the command line.

`Admission.admit` takes a `Call`, which is all that is known before a body, and gives a `Ticket`, which goes with the
request: it has the model, the caller, the deadline, and what the request is expected to cost. Whatever is scarce is
shared fairly by callers: a key is one, or without keys a client's address.
"""

from service.admission._addresses import Network, caller_address, caller_of, forwarded_for, grpc_peer
from service.admission._admission import Admission, Call, Ticket
from service.admission._answers import AnswerLimiter
from service.admission._budget import Budget, Lease
from service.admission._capacity import DEADLINE_MARGIN, STOP_MARGIN, CapacityLimiter, Intake
from service.admission._deadline import fail_at
from service.admission._fair import FairExecutor, FairOrder
from service.admission._keys import KeyFile, Scope, add_key, read_keys, revoke_key
from service.admission._policy import open_policy

__all__ = [
    "DEADLINE_MARGIN",
    "STOP_MARGIN",
    "Admission",
    "AnswerLimiter",
    "Budget",
    "Call",
    "CapacityLimiter",
    "FairExecutor",
    "FairOrder",
    "Intake",
    "KeyFile",
    "Lease",
    "Network",
    "Scope",
    "Ticket",
    "add_key",
    "caller_address",
    "caller_of",
    "fail_at",
    "forwarded_for",
    "grpc_peer",
    "open_policy",
    "read_keys",
    "revoke_key",
]
