"""The request to a model and the answer, independent of the transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from service.errors import InvalidParameter, MalformedRequest
from service.protocol._tensors import Tensor

Parameter = bool | int | float | str

# Parameters of the protocol and of its extensions: those of requests say nothing about how a picture is enhanced.
PROTOCOL_PARAMETERS = frozenset(
    {"timeout", "priority", "binary_data_output", "sequence_id", "sequence_start", "sequence_end"}
)
MAX_ENTRIES = 64
"""Most inputs, outputs or parameters in any one place: they are checked one by one while other requests wait."""

UNSUPPORTED = {
    "shared_memory_region": "shared memory is not supported; send the tensor's data",
    "shared_memory_offset": "shared memory is not supported; send the tensor's data",
    "shared_memory_byte_size": "shared memory is not supported; send the tensor's data",
    "classification": "classification is not supported; the models answer with pictures",
}


@dataclass(frozen=True)
class InferenceRequest:
    """One call of a model.

    Attributes:
        model: its name.
        version: its version; None is the latest.
        inputs: the tensors sent.
        outputs: names of the outputs wanted, in order; empty is all.
        id: what the client calls this request; echoed.
        parameters: the request's own parameters.
    """

    model: str
    version: int | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def timeout(self) -> float | None:
        """Seconds that the client grants by the parameter `timeout`, which is in microseconds; 0 there is none.

        Raises:
            InvalidParameter: if it is no whole number, or negative.
        """
        microseconds = self.parameters.get("timeout", 0)
        if isinstance(microseconds, bool) or not isinstance(microseconds, int) or not 0 <= microseconds < 2**63:
            raise InvalidParameter(f"timeout is {microseconds!r}; it must be a whole number of microseconds")
        return microseconds / 1e6 or None

    @property
    def own_parameters(self) -> dict[str, Parameter]:
        """The parameters that the protocol does not define, which are options of enhancement."""
        return {name: value for name, value in self.parameters.items() if name not in PROTOCOL_PARAMETERS}


@dataclass(frozen=True)
class InferenceResponse:
    """The answer to one call; `parameters` report on pictures that went through the pipeline."""

    model: str
    version: int
    id: str
    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def parse_version(text: str) -> int | None:
    """The number of a version, or None if `text` is empty.

    Raises:
        MalformedRequest: if it is no positive number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text)):
        raise MalformedRequest(f"version {text[:32]!r} must be a positive whole number")
    return int(text)


def check_entries(what: str, count: int) -> None:
    """Check how many of something a request brings, before any of them is looked at.

    Raises:
        MalformedRequest: if there are more than `MAX_ENTRIES`.
    """
    if count > MAX_ENTRIES:
        raise MalformedRequest(f"the request has {count} {what}; at most {MAX_ENTRIES} are allowed")


def refuse_unsupported(tensor: str, parameters: Mapping[str, object]) -> None:
    """Check the parameters of one input or output.

    Raises:
        InvalidParameter: if they ask for shared memory or another unsupported extension.
    """
    for name, reason in UNSUPPORTED.items():
        if name in parameters:
            raise InvalidParameter(f"tensor {tensor!r}: {reason}")


def describe(error: ValidationError) -> str:
    """What pydantic found wrong, in one line."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems[:8])
    return text.encode("utf-8", "backslashreplace").decode()  # names may hold halves of surrogate pairs
