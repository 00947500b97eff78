"""The tensors that a configuration declares, the batches of its warm-up, and checks of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from service.contract import AFFINE, ENHANCED, IMAGE, pixels_of

NUMBERS: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""The protocol's name of a datatype of numbers -> that of its elements in memory."""

MAX_RANK = 8
"""Most axes of a tensor, the batch axis included."""

MAX_WARMUP_PASSES = 100
MAX_WARMUP_PIXELS = 16_000_000
"""Most pixels of one batch of a warm-up."""

TAKES_PICTURES = "nightlift.takes_pictures"
"""The parameter that is `false` for a model with its own tensors."""

SAME_SIZE = "nightlift.same_size"
"""The parameter of such a model that names inputs [N, H, W, channels] whose heights and widths must be equal."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `dims` leave the batch axis out where `max_batch_size` > 0; -1 is variable."""

    name: str
    datatype: str
    dims: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements in memory."""
        return NUMBERS[self.datatype]


@dataclass(frozen=True)
class WarmupTensor:
    """One input of a warm-up: its shape, batch axis included; filled with random values, or with 0."""

    name: str
    shape: tuple[int, ...]
    random: bool


@dataclass(frozen=True)
class WarmupSample:
    """A batch that is run `count` times before the model is ready, with every input that the model has."""

    inputs: tuple[WarmupTensor, ...]
    count: int


def parameter(proto: Any, name: str) -> str:
    """A string parameter of a configuration, without spaces around it; empty if it is not there."""
    # Looking up a key in a protobuf map would create its entry.
    return str(proto.parameters[name].string_value).strip() if name in proto.parameters else ""


def takes_pictures(proto: Any) -> bool:
    """Whether a model follows the pixel contract; else it is called with its own tensors."""
    return parameter(proto, TAKES_PICTURES) != "false"


def same_size(proto: Any) -> tuple[str, ...]:
    """The inputs that must have equal heights and widths."""
    return tuple(part for part in parameter(proto, SAME_SIZE).replace(",", " ").split())


def read_tensor(tensor: Any) -> TensorSpec:
    """A checked input or output."""
    return TensorSpec(tensor.name, _datatype(tensor.data_type), tuple(tensor.dims))


def read_warmup(sample: Any, proto: Any) -> WarmupSample:
    """A checked sample of a warm-up; its inputs are in the order in which the model declares them."""
    return WarmupSample(
        inputs=tuple(
            WarmupTensor(
                declared.name,
                _warmup_shape(sample, declared.name, proto),
                sample.inputs[declared.name].WhichOneof("input_data_type") == "random_data",
            )
            for declared in proto.input
        ),
        count=max(1, sample.count),
    )


def fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether a shape is one that is expected, where -1 is any number."""
    return len(shape) == len(expected) and all(
        wanted in (side, -1) for side, wanted in zip(shape, expected, strict=True)
    )


def tensor_refusals(proto: Any) -> Iterator[str]:
    """Why the tensors cannot be served: pictures that are not those of the pixel contract, or odd tensors."""
    if (word := parameter(proto, TAKES_PICTURES)) not in ("", "true", "false"):
        yield f"parameter {TAKES_PICTURES} is {word!r}; it must be true or false"
    yield from _picture_refusals(proto) if takes_pictures(proto) else _own_tensor_refusals(proto)


def warmup_refusals(proto: Any) -> Iterator[str]:
    """Why the samples of the warm-up cannot be run."""
    names = sorted(tensor.name for tensor in proto.input)
    for sample in proto.model_warmup:
        start = f"warm-up {sample.name!r}: "
        if any(tensor.WhichOneof("input_data_type") == "input_data_file" for tensor in sample.inputs.values()):
            yield start + "input_data_file is not supported; use zero_data or random_data"
        if sorted(sample.inputs) != names:
            yield start + f"its inputs are {sorted(sample.inputs)}; they must be {names}"
            continue
        misfits = [_warmup_misfit(sample, name, proto) for name in names]
        if any(misfits):
            yield from (start + misfit for misfit in misfits if misfit)
            continue
        shapes = [_warmup_shape(sample, name, proto) for name in names]
        if len({shape[0] for shape in shapes}) != 1:
            yield start + f"its inputs have the shapes {shapes}; their first axes, the batch, must be equal"
        pixels = shapes[0][0] * pixels_of(shape[1:] for shape in shapes)
        if sample.count > MAX_WARMUP_PASSES or pixels > MAX_WARMUP_PIXELS:
            yield start + f"at most {MAX_WARMUP_PASSES} passes of {MAX_WARMUP_PIXELS} pixels are allowed"


def _picture_refusals(proto: Any) -> Iterator[str]:
    """Where the tensors are not those of the pixel contract."""
    rank = 4 - bool(proto.max_batch_size)
    shape = f"{rank} dims, ending in 3{'' if proto.max_batch_size else ', since max_batch_size is 0'}"
    pictures = {IMAGE: list(proto.input), ENHANCED: [one for one in proto.output if one.name == ENHANCED]}
    for name, tensors in pictures.items():
        if len(tensors) != 1 or tensors[0].name != name:
            yield (
                f"the pixel contract has one input {IMAGE!r}, an output {ENHANCED!r}; {name!r} must occur once. "
                f"A model with its own tensors needs the parameter {TAKES_PICTURES} with the value false"
            )
        elif tensors[0].data_type != pb.TYPE_UINT8 or len(tensors[0].dims) != rank or tensors[0].dims[-1] != 3:
            yield f"{name!r} must be TYPE_UINT8 with {shape}: pictures [N, H, W, 3]"
    if any(tensor.format == pb.ModelInput.FORMAT_NCHW for tensor in proto.input):
        yield "format FORMAT_NCHW contradicts the pixel contract, whose pictures are [N, H, W, 3]"
    for tensor in proto.output:
        if tensor.name not in (ENHANCED, AFFINE):
            yield f"output {tensor.name!r} is not known; allowed are {ENHANCED!r} and {AFFINE!r}"
        elif _datatype(tensor.data_type) not in NUMBERS:
            yield f"output {tensor.name!r} has no numbers; allowed are {', '.join(NUMBERS)}"
    if parameter(proto, SAME_SIZE):
        yield f"parameter {SAME_SIZE} is for models whose {TAKES_PICTURES} is false"


def _own_tensor_refusals(proto: Any) -> Iterator[str]:
    """Where a model's own tensors cannot be told apart, batched or held in memory."""
    batch = bool(proto.max_batch_size)
    for kind, tensors in (("input", proto.input), ("output", proto.output)):
        names = [tensor.name for tensor in tensors]
        if not names or "" in names or len(set(names)) != len(names):
            yield f"there must be at least one {kind}, each with a name of its own; the names are {names}"
        for tensor in tensors:
            if _datatype(tensor.data_type) not in NUMBERS:
                yield f"{kind} {tensor.name!r} has no numbers; allowed are {', '.join(NUMBERS)}"
            dims = list(tensor.dims)
            most = MAX_RANK - batch
            if not 1 <= len(dims) <= most or any(dim < 1 and dim != -1 for dim in dims):
                yield f"{kind} {tensor.name!r} has dims {dims}; there must be 1 to {most}, each positive or -1"
    if any(tensor.optional or tensor.is_shape_tensor for tensor in proto.input):
        yield "optional inputs and shape tensors are not supported; every request brings all inputs"
    if any(tensor.format == pb.ModelInput.FORMAT_NCHW for tensor in proto.input):
        yield "format FORMAT_NCHW is not supported: picture-like tensors are [N, H, W, channels] here"
    tensors = [*proto.input, *proto.output]
    if not batch and len({tuple(tensor.dims[:1]) for tensor in tensors}) > 1:
        yield "max_batch_size is 0, so the first of all dims is the batch, and must be the same in every tensor"
    pictures = [tensor.name for tensor in proto.input if len(tensor.dims) == 4 - batch]
    equal = same_size(proto)
    if equal and (len(set(equal)) < 2 or not set(equal) <= set(pictures)):
        yield f"parameter {SAME_SIZE} is {list(equal)}; it must name two or more of the inputs {pictures}"


def _datatype(number: int) -> str:
    """The protocol's name of a datatype of Triton's configuration."""
    name = pb.DataType.Name(number).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def _warmup_shape(sample: Any, name: str, proto: Any) -> tuple[int, ...]:
    """The shape of one input, with the batch axis: `dims` may have it where those that are declared do."""
    dims = tuple(sample.inputs[name].dims)
    whole = not proto.max_batch_size and len(dims) == len(_declared(name, proto))
    return dims if whole else (max(1, sample.batch_size), *dims)


def _warmup_misfit(sample: Any, name: str, proto: Any) -> str | None:
    """How an input of a warm-up differs from its declaration."""
    [declared] = [tensor for tensor in proto.input if tensor.name == name]
    given, shape, expected = sample.inputs[name], _warmup_shape(sample, name, proto), _declared(name, proto)
    if given.data_type not in (pb.TYPE_INVALID, declared.data_type):
        return f"input {name!r} is {_datatype(given.data_type)}; it is declared as {_datatype(declared.data_type)}"
    if not fits(shape, expected) or min(shape) < 1:
        return f"input {name!r} has dims {list(given.dims)}; {list(declared.dims)} are declared, -1 being any number"
    return None


def _declared(name: str, proto: Any) -> tuple[int, ...]:
    """The declared shape of an input, with the batch axis."""
    [declared] = [tensor for tensor in proto.input if tensor.name == name]
    return (-1, *declared.dims) if proto.max_batch_size else tuple(declared.dims)
