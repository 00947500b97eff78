"""A small typed client of the service, synchronous and asynchronous.

    with Client("http://127.0.0.1:8000") as nightlift:
        nightlift.enhance("photo.jpg", strength=0.8).save("bright.jpg")

Temporary failures are retried: refusals with 429 and 503, after the time that the service asks for, and connections
that cannot be opened in time. Everything else raises at once, including a connection that breaks.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

import httpx

from nightlift._answers import Enhanced, ServiceError
from nightlift._inputs import PictureLike, as_file

__all__ = ["AsyncClient", "Client", "Enhanced", "Options", "PictureLike", "ServiceError"]

CHUNK = 256 * 1024
REPEATED = frozenset({429, 503})
UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


class Options(TypedDict, total=False):
    """The parameters of `POST /enhance`; what is left out takes the service's default."""

    model: str
    version: int
    detail: Literal["auto", "whole", "guided", "tiles"]
    strength: float
    protect: float
    gate: bool
    gamma: float
    exposure: float
    shadows: float
    denoise: float | Literal["auto"]
    max_side: int
    format: Literal["jpeg", "jpg", "png", "webp", "avif", "tiff", "tif"]
    quality: int
    metadata: Literal["keep", "without_location", "strip"]


class Client:
    """A synchronous client; a context manager.

    Args:
        url: where the service is; without a scheme, http.
        api_key: sent as a bearer token, if the service requires one.
        verify: for https: True for the authorities that the system trusts, False for no check, or an `ssl.SSLContext`
            with your own authority or client certificate.
        timeout: seconds for each connect, read and write of an attempt, as httpx counts them.
        retries: how many times a temporary refusal, or a connection that cannot be opened, is retried.
        transport: for tests, an httpx transport.

    Example:
        with Client("localhost:8000") as client:
            client.enhance("photo.jpg").save("bright.jpg")
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        verify: bool | ssl.SSLContext = True,
        timeout: float = 90.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.Client(
            base_url=with_scheme(url),
            headers=_headers(api_key),
            verify=verify,
            timeout=timeout,
            transport=transport,
            follow_redirects=True,
        )

    def enhance(self, picture: PictureLike, **options: Unpack[Options]) -> Enhanced:
        """Enhance one picture; a path is streamed from the disk, an array or image sent and answered as PNG.

        Args:
            picture: a path, bytes, a binary file, a uint8 or uint16 array [H, W] or [H, W, 1, 3 or 4], or a PIL
                image.
            options: of `POST /enhance`; what is left out takes the service's default.

        Raises:
            ServiceError: if the service refuses for good.
            httpx.TransportError: if it cannot be reached.
            FileNotFoundError: if there is no such file.
            TypeError, ValueError: if the picture has an unsupported type, or an array an unsupported shape.

        Example:
            bright = client.enhance(pixels, strength=0.8, detail="guided").array
        """
        file = as_file(picture)
        response = self._send(lambda: self._http.post("/enhance", params=_query(options), content=_upload(file)))
        return _enhanced(response)

    def models(self) -> dict[str, Any]:
        """What `GET /models` lists.

        Example:
            names = [model["name"] for model in client.models()["models"]]
        """
        return self._send(lambda: self._http.get("/models")).json()

    def ready(self) -> bool:
        """Whether the service can be reached and says that it is ready.

        Example:
            while not client.ready():
                time.sleep(1)
        """
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, attempt: Callable[[], httpx.Response]) -> httpx.Response:
        for tried in count():
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = attempt()
            except UNCONNECTED as error:
                outcome = error
            if tried == self._retries or not _may_pass(outcome):
                break
            time.sleep(_pause(outcome, tried))
        return _final(outcome)


class AsyncClient:
    """The same, asynchronous. See `Client` for the arguments.

    Example:
        async with AsyncClient("localhost:8000") as client:
            answers = await asyncio.gather(*map(client.enhance, paths))
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        verify: bool | ssl.SSLContext = True,
        timeout: float = 90.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=with_scheme(url),
            headers=_headers(api_key),
            verify=verify,
            timeout=timeout,
            transport=transport,
            follow_redirects=True,
        )

    async def enhance(self, picture: PictureLike, **options: Unpack[Options]) -> Enhanced:
        """See `Client.enhance`."""
        file = picture if isinstance(picture, bytes | Path) else await asyncio.to_thread(as_file, picture)
        response = await self._send(
            lambda: self._http.post("/enhance", params=_query(options), content=_async_upload(file))
        )
        return _enhanced(response)

    async def models(self) -> dict[str, Any]:
        """What `GET /models` lists."""
        return (await self._send(lambda: self._http.get("/models"))).json()

    async def ready(self) -> bool:
        """Whether the service can be reached and says that it is ready."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, attempt: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        for tried in count():
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await attempt()
            except UNCONNECTED as error:
                outcome = error
            if tried == self._retries or not _may_pass(outcome):
                break
            await asyncio.sleep(_pause(outcome, tried))
        return _final(outcome)


def with_scheme(url: str) -> str:
    """An address as a URL: `localhost:8000` is `http://localhost:8000`."""
    return url if "://" in url else f"http://{url}"


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _query(options: Options) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value is not None
    }


def _upload(picture: bytes | Path) -> bytes | Iterator[bytes]:
    if isinstance(picture, bytes):
        return picture

    def chunks(path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    return chunks(picture)


def _async_upload(picture: bytes | Path) -> bytes | AsyncIterator[bytes]:
    if isinstance(picture, bytes):
        return picture

    async def chunks(path: Path) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(path.open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk
        finally:
            file.close()

    return chunks(picture)


def _may_pass(outcome: httpx.Response | httpx.TransportError) -> bool:
    """Whether the same request may succeed later; one to a server that is not trusted will not."""
    if isinstance(outcome, httpx.TransportError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(outcome)
    return outcome.status_code in REPEATED


def _pause(outcome: httpx.Response | httpx.TransportError, tried: int) -> float:
    """Seconds to wait: what the service asks for, else a delay that doubles."""
    asked = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    return float(asked) if asked.isdecimal() else 0.25 * 2**tried


def _final(outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
    """The answer, if there is one; otherwise the error is raised."""
    if isinstance(outcome, httpx.TransportError):
        raise outcome
    if outcome.is_success:
        return outcome
    try:
        problem = outcome.json()
    except ValueError:
        problem = {"detail": outcome.text[:200]}
    raise ServiceError(outcome.status_code, problem)


def _enhanced(response: httpx.Response) -> Enhanced:
    headers = response.headers
    model, _, version = headers["nightlift-model"].rpartition("/")
    wished, _, scale = headers.get("nightlift-denoise", "0; scale=0").partition("; scale=")
    width, _, height = headers.get("nightlift-source-size", "0x0").partition("x")
    stages = (stage.strip().partition(";dur=") for stage in headers["server-timing"].split(","))
    return Enhanced(
        data=response.content,
        media_type=headers["content-type"],
        model=model,
        version=int(version),
        detail=headers["nightlift-detail"],
        gate=float(headers["nightlift-gate"]),
        luminance_before=float(headers["nightlift-luminance-before"]),
        luminance_after=float(headers["nightlift-luminance-after"]),
        timings={name: float(milliseconds) / 1000 for name, _, milliseconds in stages},
        request_id=headers["x-request-id"],
        denoise="auto" if wished == "auto" else float(wished),
        denoise_scale=float(scale),
        restored=float(headers.get("nightlift-restored", "0")),
        source_size=(int(width), int(height)),
        dropped=tuple(filter(None, headers.get("nightlift-dropped", "").split(", "))),
    )
