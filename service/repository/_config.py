"""`config.pbtxt`, parsed with Triton's own protobuf and reduced to the fields that an embedded engine uses.

Every field of `ModelConfig` is honoured, or ignored with a warning, or refused with a message that says why:

| field | here |
|---|---|
| name, platform, backend, max_batch_size, input, output, default_model_filename | honoured |
| version_policy, instance_group (kind, count, gpus), model_warmup, parameters | honoured |
| dynamic_batching: delay, preferred sizes, default_queue_policy | honoured |
| optimization: graph.level, tensorrt among the execution accelerators, cuda.graphs | honoured |
| priorities, preserve_ordering, rate_limiter, response_cache, metrics, pinned memory, host_policy, labels | warning |
| ensemble, sequence batching, decoupled transactions, ragged batches, reshape, repository agents | refused |
| tensors other than the pixel contract's | refused, unless the parameter `nightlift.takes_pictures` is false |
| accelerators other than tensorrt, KIND_MODEL | refused |
| a field that Triton does not know | refused, with its line |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from service.contract import AFFINE, ANSWER, CORRECTION, IMAGE, MapLayout, ModelTraits, SpatialScope
from service.repository._checks import MODEL_FILES, PLATFORMS, ignored, refusals
from service.repository._tensors import (
    TAKES_PICTURES,
    TensorSpec,
    WarmupSample,
    read_tensor,
    read_warmup,
    same_size,
    takes_pictures,
)

TRAIT_PREFIX = "nightlift."
DEFAULT_QUEUE_SIZE = 256


class ConfigError(ValueError):
    """A config.pbtxt that cannot be served; the message names the file, the field and what is allowed."""


@dataclass(frozen=True)
class InstanceGroup:
    """`count` copies of a model on every device named: `kind` is `auto`, `cpu` or `gpu`."""

    kind: str
    count: int
    gpus: tuple[int, ...]


@dataclass(frozen=True)
class Batching:
    """How requests are joined.

    Attributes:
        max_batch_size: most pictures in one pass of the network.
        max_delay: longest wait for further items, in seconds.
        asked_for: whether the configuration asks for batches, by a delay or by preferred sizes. Otherwise batches
            form on a GPU only, where they are faster; a CPU is fully used by one picture.
        max_queue_size: requests that may wait; 0 is unbounded, as in Triton.
        default_timeout: seconds after which a request that still waits is refused; None: never.
        allow_timeout_override: whether a request may set its own timeout.
    """

    max_batch_size: int = 1
    max_delay: float = 0.0
    asked_for: bool = False
    max_queue_size: int = DEFAULT_QUEUE_SIZE
    default_timeout: float | None = None
    allow_timeout_override: bool = True


@dataclass(frozen=True)
class VersionPolicy:
    """Which version folders are served: the `latest` n, or the `specific` ones, or (both empty) all."""

    latest: int = 0
    specific: tuple[int, ...] = ()

    def choose(self, available: tuple[int, ...]) -> tuple[int, ...]:
        """The versions to serve, ascending, of those in the folder."""
        if self.specific:
            return tuple(v for v in sorted(available) if v in self.specific)
        return tuple(sorted(available))[-self.latest :] if self.latest else tuple(sorted(available))


@dataclass(frozen=True)
class ModelConfig:
    """One model's configuration, checked.

    Attributes:
        backend: `onnxruntime` or `pytorch`.
        max_batch_size: most pictures in one request; 0 if `dims` include the batch axis, and bound it.
        takes_pictures: whether it follows the pixel contract; if not, it is called with the tensors that it declares.
        same_size: inputs [N, H, W, channels] of such a model whose heights and widths must be equal.
        parameters: the string parameters, Triton's and our own.
        scores: measured scores that the exporter wrote into the parameters; empty if it wrote none.
        accelerators: requested GPU execution accelerators, name -> parameters (`tensorrt`).
        warnings: one line for every field that is set and has no effect here.
        proto: the message as parsed, for `/v2/models/NAME/config`.
    """

    name: str
    backend: str
    filename: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batching: Batching
    versions: VersionPolicy
    instances: tuple[InstanceGroup, ...]
    warmup: tuple[WarmupSample, ...]
    traits: ModelTraits
    parameters: Mapping[str, str]
    scores: Mapping[str, Any]
    takes_pictures: bool = True
    same_size: tuple[str, ...] = ()
    graph_level: int = 0
    accelerators: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cuda_graphs: bool = False
    warnings: tuple[str, ...] = ()
    proto: Any = None

    def wire_shape(self, tensor: TensorSpec) -> tuple[int, ...]:
        """The shape of a tensor as clients send and receive it, with the batch axis; -1 is variable."""
        return (-1, *tensor.dims) if self.max_batch_size else tensor.dims

    @property
    def platform(self) -> str:
        """Triton's platform string of the backend."""
        return next(platform for platform, backend in PLATFORMS.items() if backend == self.backend)

    @property
    def precision(self) -> str:
        """The precision of the network's arithmetic: `fp32` or `fp16`."""
        return self.parameters.get(TRAIT_PREFIX + "precision", "fp32")

    @property
    def licence(self) -> str:
        """What the weights may be used for, as the exporter wrote it."""
        return self.parameters.get(TRAIT_PREFIX + "licence", "")


def read_config(folder: Path) -> ModelConfig:
    """Parse `folder/config.pbtxt`.

    Raises:
        ConfigError: if the file cannot be read, is not a ModelConfig, or asks for something unsupported.
    """
    proto = pb.ModelConfig()
    try:
        text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), proto)
    except FileNotFoundError:
        raise ConfigError(f"model {folder.name!r} has no config.pbtxt") from None
    except OSError as error:
        raise ConfigError(f"{folder.name}/config.pbtxt cannot be read: {error.strerror}") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder.name}/config.pbtxt: {error}") from None
    try:
        return _checked(proto, folder.name)
    except ConfigError as error:
        raise ConfigError(f"{folder.name}/config.pbtxt: {error}") from None


def check_restorer(config: ModelConfig) -> None:
    """Check that a model follows the contract of restorers.

    Raises:
        ConfigError: if its tensors differ.
    """
    picture = (-1, -1, -1, 3)
    inputs = {spec.name: (spec.datatype, config.wire_shape(spec)) for spec in config.inputs}
    outputs = {spec.name: (spec.datatype, config.wire_shape(spec)) for spec in config.outputs}
    wanted = dict.fromkeys((ANSWER, IMAGE), ("UINT8", picture))
    if config.takes_pictures or inputs != wanted or outputs.get(CORRECTION) != ("FP32", picture):
        raise ConfigError(
            f"{config.name}: a restorer has the inputs {ANSWER!r} and {IMAGE!r}, UINT8 [N, H, W, 3], and the output "
            f"{CORRECTION!r}, FP32 [N, H, W, 3], sides of any length; and the parameter {TAKES_PICTURES} is false"
        )


def _checked(proto: Any, folder_name: str) -> ModelConfig:
    if reason := next(refusals(proto, folder_name), None):
        raise ConfigError(reason)
    parameters = {key: value.string_value for key, value in proto.parameters.items()}
    backend = proto.backend or PLATFORMS[proto.platform]
    return ModelConfig(
        name=proto.name or folder_name,
        backend=backend,
        filename=proto.default_model_filename or MODEL_FILES[backend],
        max_batch_size=proto.max_batch_size,
        inputs=tuple(read_tensor(tensor) for tensor in proto.input),
        outputs=tuple(read_tensor(tensor) for tensor in proto.output),
        batching=_batching(proto),
        versions=_version_policy(proto.version_policy),
        instances=_instances(proto),
        warmup=tuple(read_warmup(sample, proto) for sample in proto.model_warmup),
        traits=_traits(parameters, _default_traits(proto, folder_name)),
        parameters=parameters,
        scores=_scores(parameters),
        takes_pictures=takes_pictures(proto),
        same_size=same_size(proto),
        graph_level=proto.optimization.graph.level,
        accelerators={
            accelerator.name: dict(accelerator.parameters)
            for accelerator in proto.optimization.execution_accelerators.gpu_execution_accelerator
        },
        cuda_graphs=proto.optimization.cuda.graphs,
        warnings=tuple(ignored(proto)),
        proto=proto,
    )


def _batching(proto: Any) -> Batching:
    dynamic = proto.dynamic_batching
    policy = dynamic.default_queue_policy
    bounded = proto.HasField("dynamic_batching") and dynamic.HasField("default_queue_policy")
    return Batching(
        max_batch_size=max(1, proto.max_batch_size) if proto.HasField("dynamic_batching") else 1,
        max_delay=dynamic.max_queue_delay_microseconds / 1e6,
        asked_for=bool(dynamic.max_queue_delay_microseconds or dynamic.preferred_batch_size),
        max_queue_size=policy.max_queue_size if bounded else DEFAULT_QUEUE_SIZE,
        default_timeout=policy.default_timeout_microseconds / 1e6 or None,
        allow_timeout_override=policy.allow_timeout_override or not policy.default_timeout_microseconds,
    )


def _version_policy(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy()
        case "specific":
            return VersionPolicy(specific=tuple(policy.specific.versions))
        case "latest":
            return VersionPolicy(latest=max(1, policy.latest.num_versions))
        case _:
            return VersionPolicy(latest=1)


def _instances(proto: Any) -> tuple[InstanceGroup, ...]:
    kinds = {0: "auto", 1: "gpu", 2: "cpu"}
    groups = []
    for group in proto.instance_group:
        groups.append(InstanceGroup(kinds[group.kind], max(1, group.count), tuple(group.gpus)))
    return tuple(groups) or (InstanceGroup("auto", 1, ()),)


def _map_layout(proto: Any) -> MapLayout:
    """That of the output `affine`, by the number of its coefficients."""
    for tensor in proto.output:
        if tensor.name == AFFINE:
            allowed = [int(layout) for layout in MapLayout if layout]
            if not tensor.dims or tensor.dims[-1] not in allowed:
                sizes = ", ".join(map(str, allowed))
                raise ConfigError(f"the last of output affine's dims {list(tensor.dims)} must be one of {sizes}")
            return MapLayout(tensor.dims[-1])
    return MapLayout.NONE


def _scores(parameters: Mapping[str, str]) -> Mapping[str, Any]:
    text = parameters.get(TRAIT_PREFIX + "scores", "{}")
    with suppress(ValueError, RecursionError):
        scores = json.loads(text)
        json.dumps(scores, allow_nan=False, ensure_ascii=False).encode()  # as `GET /models` will
        if isinstance(scores, dict):
            return scores
    raise ConfigError(f"parameter {TRAIT_PREFIX}scores is {text!r}; it must be a JSON object, without NaN")


def _default_traits(proto: Any, name: str) -> ModelTraits:
    """Those of a model whose parameters say nothing; one without pictures has sides of any length, and no map."""
    if takes_pictures(proto):
        return ModelTraits(family=name, map_layout=_map_layout(proto))
    return ModelTraits(family=name, smallest_side=1)


def _traits(parameters: Mapping[str, str], default: ModelTraits) -> ModelTraits:
    def read(key: str, convert: Any, default: Any) -> Any:
        text = parameters.get(TRAIT_PREFIX + key)
        if text is None:
            return default
        try:
            return convert(text)
        except ValueError:
            raise ConfigError(f"parameter {TRAIT_PREFIX}{key} is {text!r}, which cannot be read") from None

    return ModelTraits(
        family=read("family", str, default.family),
        spatial_scope=read("spatial_scope", SpatialScope, default.spatial_scope),
        halo=read("halo", int, default.halo),
        multiple=read("multiple", int, default.multiple),
        working_side=read("working_side", int, default.working_side),
        max_pixels=read("max_pixels", int, default.max_pixels),
        tolerance=read("tolerance", float, default.tolerance),
        map_layout=default.map_layout,
        smallest_side=read("smallest_side", int, default.smallest_side),
        map_model=read("map_model", str, default.map_model),
    )
