"""The checks of `nightlift doctor`: what is installed, which providers work, who may call, where each model would
run.

Everything is tried out: every provider opens a session, and every model is loaded and warmed where it would run.
"""

from __future__ import annotations

import base64
import importlib.util
import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import metadata

import onnxruntime as ort
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from service.admission import read_keys
from service.errors import NightliftError
from service.inference import cuda_available, cuda_devices, devices, isolated, open_runner
from service.repository import ConfigError, ModelRepository, ModelVersion, check_restorer
from service.settings import Settings, available_cores, misspelt_settings
from service.tls import TlsFiles, shown_certificate

# y = x, FLOAT [1]: the smallest graph that makes a provider start.
IDENTITY = base64.b64decode(
    "CAgSADo3ChAKAXgSAXkiCElkZW50aXR5EgFnWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQDQ=="
)
PACKAGES = ("nightlift", "onnxruntime", "onnxruntime-gpu", "numpy", "opencv-python-headless", "torch", "pillow-heif")
# Providers that models here can ask for; others in a build of ONNX Runtime do not matter.
PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider")
TRITON_TIMEOUT = 3.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
EXPIRES_SOON = timedelta(days=14)


class Level(StrEnum):
    """How much a finding matters: only errors make the exit status 1."""

    OK = "ok"
    NOTE = "note"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was checked, what was found, and what to do about it, if anything."""

    level: Level
    subject: str
    text: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Check everything, one finding after the other; loading the models takes seconds."""
    yield from _installed()
    for sentence in misspelt_settings(os.environ):
        yield Finding(Level.ERROR, "settings", sentence)
    yield from _hardware()
    yield from _providers()
    yield from _access(settings)
    repository = ModelRepository(settings.model_repository)
    yield from _repository(repository, settings)
    yield from _restorer(repository, settings.restorer)
    if settings.engine == "triton":
        yield from _triton(repository, settings)
    else:
        wanted = (
            {*settings.models, *settings.required, settings.restorer} if settings.models else set(repository.names())
        )
        for name in sorted(wanted.intersection(repository.names())):
            yield from _model(repository, name, settings)


def exit_status(findings: list[Finding]) -> int:
    """0, or 1 if anything is an error."""
    return int(any(finding.level is Level.ERROR for finding in findings))


def _installed() -> Iterator[Finding]:
    versions = {name: metadata.version(name) for name in PACKAGES if _is_installed(name)}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding(Level.OK, "installed", f"Python {platform.python_version()}, {listed}")
    if {"onnxruntime", "onnxruntime-gpu"} <= versions.keys():
        yield Finding(
            Level.ERROR,
            "installed",
            "onnxruntime and onnxruntime-gpu overwrite each other's files",
            "pip uninstall onnxruntime onnxruntime-gpu, then install only the one that is wanted",
        )
    if "torch" not in versions:
        yield Finding(Level.NOTE, "installed", "no torch: TorchScript models cannot be served, ONNX models can")
    if "rawpy" not in versions:
        yield Finding(Level.NOTE, "installed", "no LibRaw", 'pip install "nightlift[raw]" to accept camera raw')


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _hardware() -> Iterator[Finding]:
    yield Finding(Level.OK, "hardware", f"{available_cores()} CPU core(s) usable, {cuda_devices()} CUDA device(s)")
    if cuda_devices() and not cuda_available("onnxruntime"):
        yield Finding(
            Level.NOTE,
            "hardware",
            "there is a CUDA device, and this ONNX Runtime is built for the CPU only",
            'pip uninstall onnxruntime && pip install "nightlift[gpu]"',
        )


def _providers() -> Iterator[Finding]:
    for name in PROVIDERS:
        if name not in ort.get_available_providers():
            yield Finding(Level.NOTE, name, "not in this build of ONNX Runtime")
        elif reason := _why_not(name):
            hopeless = name != "CPUExecutionProvider" and not cuda_devices()
            advice = (
                "no CUDA device is visible" if hopeless else "check driver, CUDA and cuDNN against ONNX Runtime's"
            )
            yield Finding(Level.NOTE if hopeless else Level.ERROR, name, f"does not start: {reason}", advice)
        else:
            yield Finding(Level.OK, name, "works")


def _why_not(provider: str) -> str:
    """Why a provider does not start; empty if it does."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(IDENTITY, options, providers=[provider])
    except Exception as error:
        return str(error).partition("\n")[0]
    return "" if provider in session.get_providers() else f"ONNX Runtime fell back to {session.get_providers()}"


def _access(settings: Settings) -> Iterator[Finding]:
    """Who may call, and whether others can listen."""
    reachable = settings.host not in LOOPBACK
    if tls := TlsFiles.of(settings):
        yield _certificate(tls)
    elif reachable:
        yield Finding(
            Level.NOTE,
            "TLS",
            f"traffic to {settings.host} is not encrypted: others can read it, keys included",
            "set NIGHTLIFT_TLS_CERTIFICATE and NIGHTLIFT_TLS_KEY, or put a proxy with TLS in front",
        )
    if settings.keys_file is not None:
        try:
            keys = read_keys(settings.keys_file).keys
        except ValueError as error:
            yield Finding(Level.ERROR, "keys", str(error), "create it with `nightlift keys create`")
            return
        listed = ", ".join(f"{key.name} ({', '.join(sorted(key.scopes))})" for key in keys)
        yield Finding(Level.OK, "keys", listed or "none: nobody can call")
    elif reachable:
        text = f"everybody who can reach {settings.host} may call"
        if settings.model_control:
            text += ", and change which models are loaded"
        yield Finding(Level.NOTE, "keys", text, "set NIGHTLIFT_KEYS_FILE if that includes others than you")


def _certificate(tls: TlsFiles) -> Finding:
    try:
        certificate = shown_certificate(tls)
    except ValueError as error:
        return Finding(Level.ERROR, "TLS", str(error), "renew the certificate, with its chain and its key")
    left = certificate.expires - datetime.now(UTC)
    text = f"the certificate for {', '.join(certificate.names)} is valid until {certificate.expires:%Y-%m-%d}"
    if tls.client_ca:
        text += f"; clients need one signed by {tls.client_ca.name}"
    if left < EXPIRES_SOON:
        return Finding(Level.NOTE, "TLS", text, "renew it; a running service loads the new files by itself")
    return Finding(Level.OK, "TLS", text)


def _repository(repository: ModelRepository, settings: Settings) -> Iterator[Finding]:
    names = repository.names()
    if not names:
        yield Finding(
            Level.ERROR,
            "repository",
            f"no models in {repository.root}",
            "set NIGHTLIFT_MODEL_REPOSITORY to a folder in Triton's layout",
        )
        return
    yield Finding(Level.OK, "repository", f"{len(names)} model(s) in {repository.root}")
    for name in settings.required:
        if name not in names:
            yield Finding(
                Level.ERROR,
                "repository",
                f"{name} is required but missing: the service would never be ready",
                f"choose one of {', '.join(names)} by NIGHTLIFT_DEFAULT_MODEL or NIGHTLIFT_REQUIRED_MODELS",
            )
    with suppress(NightliftError, ConfigError):  # what is wrong with it is said of the model itself
        if not repository.config(settings.default_model).takes_pictures:
            yield Finding(
                Level.ERROR,
                "repository",
                f"{settings.default_model} is the default model but takes no pictures, only its own tensors",
                "choose a model that takes pictures by NIGHTLIFT_DEFAULT_MODEL",
            )


def _restorer(repository: ModelRepository, name: str) -> Iterator[Finding]:
    """Whether the restorer exists, and is one."""
    if not name:
        return
    if name not in repository.names():
        chosen = name != Settings.model_fields["restorer"].default
        level = Level.ERROR if chosen else Level.NOTE
        yield Finding(level, "restorer", f"{name} is missing: denoise=auto removes no noise")
        return
    with suppress(NightliftError):
        try:
            check_restorer(repository.config(name))
        except ConfigError as error:
            yield Finding(Level.ERROR, "restorer", str(error), "choose another one with NIGHTLIFT_RESTORER, or none")


def _model(repository: ModelRepository, name: str, settings: Settings) -> Iterator[Finding]:
    """What a model runs on, why, and whether that works; its warnings and its licence."""
    subject = f"model {name}"
    try:
        versions = repository.servable(name)
    except (ConfigError, NightliftError) as error:
        yield _failure(name, error, settings)
        return
    config = versions[-1].config
    for version in versions:
        yield _tried(version, settings)
    yield from _map_model(repository, name, config.traits.map_model)
    for warning in config.warnings:
        yield Finding(Level.NOTE, subject, warning)
    if config.licence:
        yield Finding(Level.NOTE, subject, f"licence: {config.licence}")


def _map_model(repository: ModelRepository, name: str, maps: str) -> Iterator[Finding]:
    """Whether the model that makes another's colour maps exists, and is one."""
    if not maps:
        return
    subject, advice = f"model {name}", f"put {maps} beside it: `nightlift export` writes both"
    if maps not in repository.names():
        yield Finding(Level.ERROR, subject, f"its colour maps are made by {maps}, which is missing", advice)
        return
    with suppress(NightliftError, ConfigError):  # what is wrong with it is said of the model itself
        if repository.config(maps).takes_pictures:
            yield Finding(Level.ERROR, subject, f"its map_model {maps} takes pictures, not proxies", advice)


def _tried(version: ModelVersion, settings: Settings) -> Finding:
    chosen = devices(version, settings)
    started = time.monotonic()
    try:
        for device in sorted(set(chosen)):
            runner = open_runner(version, device, settings.cpu_threads or available_cores())
            provider = runner.info.provider
            runner.close()
    except Exception as error:
        return _failure(version.name, error, settings)
    place = "in a child process of each device" if isolated(chosen, settings) else "in process"
    where = f"version {version.version} runs on {', '.join(chosen)} ({provider}) {place}"
    text = f"{where}, since {_reason(version, settings)}; loaded and warmed in {time.monotonic() - started:.2f} s"
    return Finding(Level.OK, f"model {version.name}", text)


def _reason(version: ModelVersion, settings: Settings) -> str:
    """Why a model runs where it does."""
    kinds = {group.kind for group in version.config.instances}
    if kinds != {"auto"}:
        return "its instance_group says so"
    if settings.device != "auto":
        return f"NIGHTLIFT_DEVICE is {settings.device}"
    if cuda_available(version.config.backend):
        return "there is a CUDA device"
    return "ONNX Runtime or torch is built for the CPU" if cuda_devices() else "there is no CUDA device"


def _failure(name: str, error: Exception, settings: Settings) -> Finding:
    """A model that cannot be served; without torch, TorchScript variants are only noted."""
    subject, text = f"model {name}", f"cannot be served: {error}"
    if name in settings.required:
        return Finding(Level.ERROR, subject, text, "the service will not be ready without it")
    if "torch" in str(error) and importlib.util.find_spec("torch") is None:
        return Finding(Level.NOTE, subject, text, "pip install torch, or name the models wanted in NIGHTLIFT_MODELS")
    return Finding(Level.ERROR, subject, text, "repair or remove it; the other models are served without it")


def _triton(repository: ModelRepository, settings: Settings) -> Iterator[Finding]:
    client = InferenceServerClient(settings.triton_url)
    try:
        server = client.get_server_metadata(client_timeout=TRITON_TIMEOUT)
        yield Finding(Level.OK, "triton", f"{server.name} {server.version} answers at {settings.triton_url}")
        for name in repository.names():
            ready = client.is_model_ready(name, client_timeout=TRITON_TIMEOUT)
            missing = Level.ERROR if name in settings.required else Level.NOTE
            text = f"is served by Triton at {settings.triton_url}" if ready else "is not served by Triton"
            yield Finding(Level.OK if ready else missing, f"model {name}", text)
    except InferenceServerException as error:
        yield Finding(
            Level.ERROR,
            "triton",
            f"does not respond at {settings.triton_url}: {error.message()}",
            "start it with the same model repository, or set NIGHTLIFT_TRITON_URL to its gRPC port",
        )
    finally:
        client.close()
