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
"""Variables of the command line's own, which may be set beside those of the service."""

RENAMED = {"head_timeout": "header_timeout"}
"""Former names of settings, which are understood with a warning."""

OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP)|$)")
"""In names of variables that Kubernetes sets in every pod for a Service; here its name begins with nightlift."""

HostPattern = Annotated[
    str, StringConstraints(pattern=r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$", to_lower=True)
]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/*\s]+$")]


class Settings(BaseSettings):
    """The service's settings; the environment variable of `max_body_bytes` is `NIGHTLIFT_MAX_BODY_BYTES`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, use_attribute_docstrings=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address that HTTP and gRPC listen on. Containers set 0.0.0.0; `::` takes IPv4 and IPv6."""

    port: int = Field(8000, ge=0, le=65535)
    """HTTP port; 0 takes a free one."""

    grpc_port: int = Field(8001, ge=0, le=65535)
    """gRPC port; 0 takes a free one."""

    model_repository: Path = Field(default_factory=model_repository)
    """Folder of models in Triton's layout."""

    default_model: str = "nightlift"
    """Model that answers requests which name none."""

    restorer: str = "nightlift_restorer"
    """Model that takes noise out of answers at full size, loaded with whatever others are; empty, or one that the
    repository lacks: none, and `denoise=auto` does nothing."""

    models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models to load, comma-separated; empty loads every model in the repository but TorchScript variants."""

    required_models: Annotated[tuple[str, ...], NoDecode] = ()
    """Models without which the service is not ready, comma-separated; empty requires the default model alone."""

    model_control: bool = False
    """Whether clients may load and unload models by `/v2/repository` and its gRPC counterpart."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where models run whose configuration leaves it open. `auto` takes every CUDA device, where the driver
    shows any and the model's runtime is built for CUDA, else the CPU. A model that does not start there is not
    served: none is moved to the CPU."""

    engine: Literal["embedded", "triton"] = "embedded"
    """Who runs the networks: this service, or a Triton server that serves the same model repository."""

    triton_url: str = "127.0.0.1:18001"
    """Address of Triton's gRPC port, used with `engine=triton`."""

    engine_isolation: Literal["auto", "process", "none"] = "auto"
    """Where embedded networks run: `process` gives every device a child process, which can be killed and restarted
    without losing the service; `none` runs them in this process; `auto` isolates CUDA devices only."""

    inference_timeout: float = Field(90.0, gt=0, le=3600)
    """Seconds after which one pass of a network counts as hung: its child process is killed and restarted."""

    cpu_threads: int = Field(0, ge=0, le=1024)
    """Threads that run a network on the CPU, 0 for one a core. A pass that runs alone has all of them; passes side by
    side, as many as there are threads, share them."""

    codec_threads: int = Field(0, ge=0, le=1024)
    """Threads that decode, render and encode; 0 takes one more than there are cores."""

    max_body_bytes: int = Field(64 * MIB, ge=1024)
    """Largest request body in bytes, on HTTP and gRPC alike."""

    max_raw_body_bytes: int = Field(128 * MIB, ge=1024)
    """Largest body of `POST /enhance` in bytes that holds camera raw, as it is or in a form; 64 megapixels that the
    camera did not compress have 128 MB. No effect below `max_body_bytes`; counted in `max_body_bytes_in_flight`."""

    max_json_bytes: int = Field(2 * MIB, ge=1024)
    """Largest JSON in requests and answers of `/v2`, and largest typed contents in gRPC, in bytes; binary tensors are
    bounded by `max_body_bytes` alone. Parsing numbers one by one holds the interpreter, some 60 ms for every MiB, so
    this bounds how long others wait."""

    max_pixels: int = Field(MAX_PIXELS, ge=256)
    """Largest picture in pixels, checked from the file's header before anything is decoded."""

    max_whole_pixels: int = Field(4_000_000, ge=256)
    """Largest picture in pixels that may be asked for with detail=whole, and most pixels of a raw tensor, all its
    pictures together: a pass needs up to 700 bytes a pixel."""

    max_restored_pixels: int | None = Field(None, ge=0)
    """Most pixels of a picture whose noise is taken out at full size, those of tiles without noise not counted; where
    there are more, a half or a quarter of the size is taken for all of them. Without it 12 500 000 on a CPU, and no
    bound on a GPU."""

    max_pixels_in_flight: int = Field(4 * MAX_PIXELS, ge=256)
    """Most pixels held decoded at one time, of JPEGs answered as JPEG; pictures that need more memory, as those with
    16 bits or alpha, HEIC, AVIF and camera raw, count for more. Further ones wait; callers share fairly."""

    max_batch_pixels: int = Field(16_000_000, ge=256)
    """Most pixels in one pass of a network; one picture alone is always let through."""

    max_body_bytes_in_flight: int = Field(512 * MIB, ge=1024)
    """Most bytes of HTTP bodies held at one time; who sends more is refused with 503. As many again of gRPC messages
    that run a model: one that is still coming counts as `max_body_bytes`, and the next ones wait, unread, with their
    senders."""

    max_answer_bytes_in_flight: int = Field(256 * MIB, ge=1024)
    """Most bytes of answers that wait at one time for their clients to read them, or one answer alone. Beyond it
    those of clients that have not read for 2 s are dropped; if all of them read, the next answer is 503. As many
    again over gRPC, where none can be dropped, and a caller may have half of them."""

    max_queue_seconds: float = Field(40.0, gt=0, le=3600)
    """Seconds of expected work that one caller may have waiting, a quarter more in all; further requests are refused
    at once, and so are those that could not be answered by their own deadline. Never more than two thirds of
    `drain_timeout`, so that a stop can finish what was taken. Eight requests of a model may wait whatever is set
    here; `max_queue_size` of the model is another bound. Fleets whose balancer tries another replica set 0.25."""

    request_timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds after which a request is given up with 504, or with 408 if its body has not come by then; a client may
    ask for less by `X-Request-Timeout`."""

    header_timeout: float = Field(10.0, gt=0, le=3600)
    """Seconds in which a TLS handshake must end, the head of an HTTP request come, and the message of a gRPC call
    that runs no model; a connection that brings none of them is closed."""

    answer_timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds after which a client that reads nothing of its answer over HTTP is hung up on."""

    grpc_connection_age: float = Field(300.0, ge=1, le=86_400)
    """Seconds after which a gRPC connection takes no more calls, so that its client opens another; `request_timeout`
    and `answer_timeout` later it ends. gRPC keeps an answer for as long as its client does not read it."""

    drain_delay: float = Field(0.0, ge=0, le=300)
    """Seconds between the signal to stop and the moment when no new connection is taken; the service says that it is
    not ready meanwhile, and still serves. Behind a load balancer, a little more than its probe interval."""

    drain_timeout: float = Field(60.0, ge=0, le=3600)
    """Seconds that requests which were taken get to finish once no new connection is taken. As long as
    `request_timeout`, all of them have the time that they were promised."""

    keys_file: Path | None = None
    """File of API keys, made by `nightlift keys create`; with it, every call but probes, page and documentation needs
    a key. Changes are picked up within a second. Without it the service is open to everybody who can reach it."""

    metrics_open: bool = True
    """Whether `/metrics` is open to everybody; else it needs a key with the scope `metrics`."""

    rate_limit: float = Field(0.0, ge=0)
    """Most requests a second, for each key, or each client address where there are no keys; 0 is no limit. Keys may
    have limits of their own."""

    rate_burst: int = Field(0, ge=0)
    """Requests that may come at once within `rate_limit`; 0 takes one second's worth."""

    rate_megapixels: float = Field(0.0, ge=0)
    """Most megapixels a minute, counted in the same way; 0 is no limit. A minute's worth may come at once."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Addresses or networks of proxies, comma-separated, whose `X-Forwarded-For`, `X-Forwarded-Proto` and
    `X-Forwarded-Prefix` are believed."""

    root_path: Annotated[str, StringConstraints(pattern=r"^((/[A-Za-z0-9._~-]+)+)?$")] = ""
    """Path such as `/nightlift` that a proxy takes off before it passes a request on, where it does not say so."""

    allowed_hosts: Annotated[tuple[HostPattern, ...], NoDecode] = ()
    """Names by which clients may ask for the service (the field `Host`), comma-separated, such as `photos.example` or
    `*.photos.example`; `*` is any. Addresses, `localhost`, names without a dot, and names below `local`, `internal`,
    `localhost`, `home.arpa`, `svc` and `svc.cluster.local`, which nobody can register, are always allowed. If it is
    empty, every name is allowed where there are keys or TLS, and no other one where there are neither: a page of
    somebody else could have its own name lead here."""

    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins such as `https://app.example`, comma-separated, whose pages may call the service from a browser."""

    tls_certificate: Path | None = None
    """PEM file of the certificate and its chain; with it and `tls_key`, HTTP and gRPC speak TLS alone. Renewed files
    are picked up with the next connection."""

    tls_key: Path | None = None
    """PEM file of the certificate's private key, without a password."""

    tls_client_ca: Path | None = None
    """PEM file of the authority by which every client's certificate must be signed; without it clients need none."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""

    log_format: Literal["text", "json"] = "text"
    """How log lines are written: for people, or as JSON with the ids of request and trace."""

    trace_endpoint: str = ""
    """Where traces go by OTLP over HTTP, such as `http://collector:4318/v1/traces`; empty makes none. Needs the extra
    `tracing`."""

    trace_ratio: float = Field(1.0, ge=0, le=1)
    """Share of the traces begun here that is kept; a decision that comes with a request is followed."""

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
    """A sentence about each of these variables that is a former name, or looks like a setting and is none."""
    known = sorted(name.upper() for name in Settings.model_fields)
    sentences = []
    for variable in sorted(variables):
        name = variable.removeprefix(PREFIX)
        if name in (variable, *known) or variable in OF_CLIENTS or OF_KUBERNETES.search(variable):
            continue
        if present := RENAMED.get(name.lower()):
            sentences.append(f"{variable} is called {PREFIX}{present.upper()} now; the former name will stop working")
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
        pass  # no cgroup, no quota ("max"), or an older layout: the mask stands
    return cores
