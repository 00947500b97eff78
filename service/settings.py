"""Every setting of the service, read once at start from `NIGHTLIFT_*` environment variables and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.limits import MAX_PIXELS
from service.locations import model_repository

MIB = 1024 * 1024

PREFIX = "NIGHTLIFT_"

OF_CLIENTS = frozenset({"NIGHTLIFT_API_KEY", "NIGHTLIFT_CA", "NIGHTLIFT_CLIENT_CERTIFICATE", "NIGHTLIFT_TRACEBACK"})
"""Variables of the command line, which are not settings of the service."""

RENAMED = {"head_timeout": "header_timeout"}
"""Former names of settings, still accepted with a warning."""

OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP)|$)")
"""Matches variables that Kubernetes sets in every pod for a Service whose name begins with nightlift."""

HostPattern = Annotated[
    str, StringConstraints(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$", to_lower=True)
]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/*\s]+$")]


class Settings(BaseSettings):
    """The service's settings; the environment variable of `max_body_bytes` is `NIGHTLIFT_MAX_BODY_BYTES`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, use_attribute_docstrings=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address that HTTP and gRPC listen on. The images set 0.0.0.0; `::` accepts both IPv4 and IPv6."""

    port: int = Field(8000, ge=0, le=65535)
    """HTTP port; 0 picks a free one."""

    grpc_port: int = Field(8001, ge=0, le=65535)
    """gRPC port; 0 picks a free one."""

    model_repository: Path = Field(default_factory=model_repository)
    """Folder of models in Triton's layout."""

    default_model: str = "nightlift"
    """Model for requests that name none."""

    restorer: str = "nightlift_restorer"
    """Model that removes noise from enhanced photos at full size, loaded whatever `models` says. If this is empty, or
    the repository lacks the model, `denoise=auto` does nothing."""

    models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models to load, comma-separated; empty loads every model in the repository except TorchScript variants."""

    required_models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models that must be loaded before the service is ready, comma-separated; empty requires only the default
    model."""

    model_control: bool = False
    """Whether clients may load and unload models through `/v2/repository` and its gRPC counterpart."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where models run whose configuration does not say. `auto` uses every CUDA device if the driver finds any and
    the model's runtime is built for CUDA, else the CPU. A model that fails to start there is not served; it is never
    moved to the CPU."""

    engine: Literal["embedded", "triton"] = "embedded"
    """What runs the networks: this service, or a Triton server that serves the same model repository."""

    triton_url: str = "127.0.0.1:18001"
    """Address of Triton's gRPC port, used with `engine=triton`."""

    engine_isolation: Literal["auto", "process", "none"] = "auto"
    """Where embedded networks run: `process` gives every device a child process, which can be killed and restarted
    while the service keeps running; `none` runs them in the service's own process; `auto` isolates CUDA devices
    only."""

    inference_timeout: float = Field(90.0, gt=0, le=3600)
    """Seconds after which one pass of a network counts as hung: its child process is killed and restarted."""

    cpu_threads: int = Field(0, ge=0, le=1024)
    """Threads that run a network on the CPU; 0 for one per core. A single pass uses all of them; concurrent passes,
    at most one per thread, share them."""

    codec_threads: int = Field(0, ge=0, le=1024)
    """Threads that decode, render and encode; 0 for one more than there are cores."""

    max_body_bytes: int = Field(64 * MIB, ge=1024)
    """Largest request body in bytes, on HTTP and gRPC alike."""

    max_raw_body_bytes: int = Field(128 * MIB, ge=1024)
    """Largest body of `POST /enhance` in bytes if it holds camera raw, alone or in a form; an uncompressed raw file
    of 64 megapixels has 128 MB. No effect below `max_body_bytes`; counted in `max_body_bytes_in_flight`."""

    max_json_bytes: int = Field(2 * MIB, ge=1024)
    """Largest JSON in requests and answers of `/v2`, and largest typed contents in gRPC, in bytes; only
    `max_body_bytes` bounds binary tensors. Parsing blocks the interpreter for some 60 ms per MiB, so this bounds how
    long other requests wait."""

    max_pixels: int = Field(MAX_PIXELS, ge=256)
    """Largest picture in pixels, checked from the file's header before anything is decoded."""

    max_whole_pixels: int = Field(4_000_000, ge=256)
    """Largest picture in pixels that is accepted with detail=whole, and most pixels of a raw tensor, over all its
    pictures; a pass needs up to 700 bytes a pixel."""

    max_restored_pixels: int | None = Field(None, ge=0)
    """Most pixels of a picture from which noise is removed at full size, not counting tiles without noise; if there
    are more, the whole picture is denoised at half or a quarter of its size. By default 12 500 000 on a CPU, and
    unlimited on a GPU."""

    max_pixels_in_flight: int = Field(4 * MAX_PIXELS, ge=256)
    """Most pixels held decoded at one time, for pictures in and out as JPEG. Those that need more memory (16 bits,
    alpha, HEIC, AVIF, camera raw) count for more. Further pictures wait, and callers share the limit fairly."""

    max_batch_pixels: int = Field(16_000_000, ge=256)
    """Most pixels in one pass of a network; a single picture is always allowed."""

    max_body_bytes_in_flight: int = Field(512 * MIB, ge=1024)
    """Most bytes of HTTP bodies held at one time; requests beyond it get 503. The same limit applies separately to
    gRPC messages that run a model: one that is still arriving counts as `max_body_bytes`, and the next ones wait
    unread at their senders."""

    max_answer_bytes_in_flight: int = Field(256 * MIB, ge=1024)
    """Most bytes of answers waiting at one time for their clients to read them; a single answer is always allowed.
    Beyond it, answers of clients that have read nothing for 2 s are dropped; if all clients are reading, the next
    answer is 503. The same limit applies separately to gRPC, where no answer can be dropped and one caller may have
    half of it."""

    max_queue_seconds: float = Field(40.0, gt=0, le=3600)
    """Seconds of expected work that one caller may have waiting; all callers together may have a quarter more.
    Further requests are refused at once, as are those that could not be answered by their own deadline. At most two
    thirds of `drain_timeout` is used, so that accepted requests can finish when the service stops. Up to eight
    requests of a model may always wait; the model's `max_queue_size` is a further bound. Set 0.25 if a load balancer
    tries another replica."""

    request_timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds after which a request fails with 504, or with 408 if its body has not arrived by then; a client may ask
    for less with `X-Request-Timeout`."""

    header_timeout: float = Field(10.0, gt=0, le=3600)
    """Seconds within which a TLS handshake must end, and within which the head of an HTTP request, or the message of
    a gRPC call that runs no model, must arrive; otherwise the connection is closed."""

    answer_timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds after which the connection of an HTTP client that reads nothing of its answer is closed."""

    grpc_connection_age: float = Field(300.0, ge=1, le=86_400)
    """Seconds after which a gRPC connection accepts no more calls, so that its client opens another; it ends
    `request_timeout` plus `answer_timeout` later. Otherwise gRPC would keep an answer until its client reads it."""

    drain_delay: float = Field(0.0, ge=0, le=300)
    """Seconds between the signal to stop and the moment when no new connection is accepted; meanwhile the service
    reports that it is not ready, and still serves. Behind a load balancer, set a little more than its probe
    interval."""

    drain_timeout: float = Field(60.0, ge=0, le=3600)
    """Seconds that accepted requests get to finish once no new connection is accepted. If it is as long as
    `request_timeout`, every request keeps its full time."""

    keys_file: Path | None = None
    """File of API keys, made by `nightlift keys create`; with it, every call except probes, page and documentation
    needs a key. Changes take effect within a second. Without it the service is open to everybody who can reach it."""

    metrics_open: bool = True
    """Whether `/metrics` is open to everybody; otherwise it needs a key with the scope `metrics`."""

    rate_limit: float = Field(0.0, ge=0)
    """Most requests a second for each key, or for each client address if there are no keys; 0 is no limit. A key may
    have its own limit."""

    rate_burst: int = Field(0, ge=0)
    """Requests that may come at once within `rate_limit`; 0 allows one second's worth."""

    rate_megapixels: float = Field(0.0, ge=0)
    """Most megapixels a minute, counted in the same way; 0 is no limit. A minute's worth may come at once."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Addresses or networks of proxies, comma-separated, whose `X-Forwarded-For`, `X-Forwarded-Proto` and
    `X-Forwarded-Prefix` are trusted."""

    root_path: Annotated[str, StringConstraints(pattern=r"^((/[A-Za-z0-9._~-]+)+)?$")] = ""
    """Path such as `/nightlift` that a proxy strips before it forwards a request without `X-Forwarded-Prefix`."""

    allowed_hosts: Annotated[tuple[HostPattern, ...], NoDecode] = ()
    """Host names that clients may use in `Host`, comma-separated, such as `photos.example` or `*.photos.example`; `*`
    allows any. Addresses, `localhost`, names without a dot, and names below `local`, `internal`, `localhost`,
    `home.arpa`, `svc` and `svc.cluster.local`, which nobody can register, are always allowed. If this is empty, every
    name is allowed with keys or TLS; with neither, no further name is, which prevents DNS rebinding."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins such as `https://app.example`, comma-separated, whose pages may call the service from a browser."""

    tls_certificate: Path | None = None
    """PEM file of the certificate and its chain; with it and `tls_key`, HTTP and gRPC accept TLS only. Renewed files
    are used from the next connection on."""

    tls_key: Path | None = None
    """PEM file of the certificate's private key, without a password."""

    tls_client_ca: Path | None = None
    """PEM file of the authority that must have signed every client's certificate; without it, clients need no
    certificate."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest severity that is logged."""

    log_format: Literal["text", "json"] = "text"
    """Log lines as text for people, or as JSON with the ids of request and trace."""

    trace_endpoint: str = ""
    """Where traces are sent by OTLP over HTTP, such as `http://collector:4318/v1/traces`; empty sends none. Needs the
    extra `tracing`."""

    trace_ratio: float = Field(1.0, ge=0, le=1)
    """Share of the traces started here that is kept; if a request brings a sampling decision, that is followed."""

    @model_validator(mode="before")
    @classmethod
    def _take_former_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        for former, present in RENAMED.items():
            if (variable := PREFIX + former.upper()) in os.environ:
                values.setdefault(present, os.environ[variable])
        return values

    @field_validator("models", "required_models", "trusted_proxies", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("port", "grpc_port", mode="before")
    @classmethod
    def _leave_out_kubernetes(cls, value: object, info: ValidationInfo) -> object:
        """For a Service called nightlift, Kubernetes sets NIGHTLIFT_PORT=tcp://10.0.0.1:8000, which nobody chose."""
        if isinstance(value, str) and value.startswith("tcp://") and info.field_name:
            return cls.model_fields[info.field_name].default
        return value

    @model_validator(mode="after")
    def _check_access(self) -> Settings:
        if not self.metrics_open and self.keys_file is None:
            raise ValueError("NIGHTLIFT_METRICS_OPEN=false needs NIGHTLIFT_KEYS_FILE: nobody could read the metrics")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("NIGHTLIFT_TLS_CERTIFICATE and NIGHTLIFT_TLS_KEY go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("NIGHTLIFT_TLS_CLIENT_CA needs NIGHTLIFT_TLS_CERTIFICATE and NIGHTLIFT_TLS_KEY")
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the models without which the service is not ready; never empty."""
        return self.required_models or (self.default_model,)


def misspelt_settings(variables: Iterable[str]) -> list[str]:
    """A sentence about each of these variables that is a former name, or looks like a setting but is not one."""
    known = sorted(name.upper() for name in Settings.model_fields)
    sentences = []
    for variable in sorted(variables):
        name = variable.removeprefix(PREFIX)
        if name in (variable, *known) or variable in OF_CLIENTS or OF_KUBERNETES.search(variable):
            continue
        if present := RENAMED.get(name.lower()):
            sentences.append(f"{variable} is now {PREFIX}{present.upper()}; the former name will stop working")
            continue
        nearest = get_close_matches(name, known, n=1)
        hint = f"; did you mean {PREFIX}{nearest[0]}?" if nearest else ""
        sentences.append(f"{variable} is not a setting and has no effect{hint}")
    return sentences


def available_cores() -> int:
    """Cores that this process may use: the affinity mask, or fewer where a container's quota says so; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup, no quota ("max"), or an older layout: the mask decides
    return cores
