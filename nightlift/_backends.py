"""Where pictures are enhanced, behind one interface: by the pipeline in this process, or by a remote service."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from nightlift.client import AsyncClient, ServiceError
from service.enhancement import EnhanceOptions
from service.errors import NightliftError, Unavailable
from service.repository import ModelRepository
from service.runtime import Runtime
from service.settings import Settings

RETRIES = 4
"""How often a picture is tried while the engine is busy or being restarted."""


class Answer(Protocol):
    """An enhanced picture: what both backends answer."""

    @property
    def data(self) -> bytes:
        """The encoded picture."""

    @property
    def model(self) -> str:
        """What answered."""

    @property
    def version(self) -> int:
        """Of the model."""

    @property
    def detail(self) -> str:
        """How it was rendered."""

    @property
    def luminance_before(self) -> float:
        """Mean luminance of the input, 0 to 1."""

    @property
    def luminance_after(self) -> float:
        """Mean luminance of the answer, 0 to 1."""


class Backend(Protocol):
    """Turns one encoded picture into another."""

    async def enhance(self, data: bytes, options: Mapping[str, Any]) -> Answer:
        """Enhance one picture; `options` are those of `POST /enhance`, without those that are None.

        Raises:
            PictureRefused: if this picture cannot be enhanced; the others may.
        """


class PictureRefused(Exception):
    """One picture could not be enhanced; the message says why."""


@dataclass(frozen=True)
class BackendOptions:
    """Where the work is done.

    Attributes:
        server: address of a service; None: in this process.
        api_key: for the service, if it requires one.
        ca: PEM file of the authority that signed the service's certificate; None: any that the system trusts.
        client_certificate: PEM file of a certificate and its key, for a service that requires one.
        model: the model to use; None: the default one.
        model_repository: folder of models for this process; None: the settings'.
        threads: for the network, and for codecs, in this process; 0: the settings'.
    """

    server: str | None = None
    api_key: str | None = None
    ca: Path | None = None
    client_certificate: Path | None = None
    model: str | None = None
    model_repository: Path | None = None
    threads: int = 0


def open_backend(options: BackendOptions) -> AbstractAsyncContextManager[Backend]:
    """The backend that the options ask for.

    Raises (on entry):
        ValueError: if the service cannot be reached, or the model cannot be served.
    """
    return _remote(options) if options.server else _embedded(options)


@asynccontextmanager
async def open_runtime(options: BackendOptions) -> AsyncIterator[Runtime]:
    """The service's runtime in this process, with one model, loaded and warmed.

    Raises (on entry):
        ValueError: if the model cannot be served.
    """
    settings = Settings()
    model = options.model or settings.default_model
    changes: dict[str, Any] = {"default_model": model, "models": (model,), "required_models": ()}
    if options.model_repository:
        changes["model_repository"] = options.model_repository
    if options.threads:
        changes |= {"cpu_threads": options.threads, "codec_threads": options.threads}
    settings = settings.model_copy(update=changes)
    names = ModelRepository(settings.model_repository).names()
    if model not in names:
        choice = ", ".join(names) or "another folder"
        raise ValueError(f"model {model!r} not found in {settings.model_repository}; available: {choice}")
    async with Runtime(settings) as runtime:
        await runtime.loaded()
        try:
            runtime.models.get(model)
        except NightliftError as error:
            raise ValueError(f"{error}; `nightlift models` lists the available models") from error
        yield runtime


@asynccontextmanager
async def _embedded(options: BackendOptions) -> AsyncIterator[Backend]:
    async with open_runtime(options) as runtime:
        yield _Embedded(runtime)


@dataclass(frozen=True)
class _Embedded:
    runtime: Runtime

    async def enhance(self, data: bytes, options: Mapping[str, Any]) -> Answer:
        wanted = EnhanceOptions(**options)
        for patience in reversed(range(RETRIES)):
            try:
                return await self.runtime.enhance(data, wanted)
            except NightliftError as error:
                if not patience or not isinstance(error, Unavailable):
                    raise PictureRefused(str(error)) from error
                await asyncio.sleep(error.retry_after or 0)
        raise AssertionError("unreachable")


@asynccontextmanager
async def _remote(options: BackendOptions) -> AsyncIterator[Backend]:
    assert options.server is not None
    async with AsyncClient(options.server, api_key=options.api_key, verify=_verification(options)) as client:
        try:
            await client.models()
        except (httpx.HTTPError, httpx.InvalidURL, ServiceError) as error:
            raise ValueError(f"cannot reach a service at {options.server}: {error}") from error
        yield _Remote(client)


def _verification(options: BackendOptions) -> bool | ssl.SSLContext:
    """How to verify the service's certificate and present ours.

    Raises:
        ValueError: if a file cannot be read.
    """
    if options.ca is None and options.client_certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.client_certificate is not None:
            context.load_cert_chain(options.client_certificate)
    except OSError as error:  # ssl's own errors are of this kind, too
        names = ", ".join(str(path) for path in (options.ca, options.client_certificate) if path)
        raise ValueError(f"no certificate can be read from {names}: {error.strerror or error}") from None
    return context


@dataclass(frozen=True)
class _Remote:
    client: AsyncClient

    async def enhance(self, data: bytes, options: Mapping[str, Any]) -> Answer:
        try:
            return await self.client.enhance(data, **options)
        except (ServiceError, httpx.HTTPError) as error:
            raise PictureRefused(str(error) or type(error).__name__) from error
