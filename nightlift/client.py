"""A small typed client of the service, synchronous and asynchronous.

    with Client("http://127.0.0.1:8000") as nightlift:
        answer = nightlift.enhance(Path("photo.jpg"), strength=0.8)
        Path("bright.jpg").write_bytes(answer.data)

What a later attempt may overcome is repeated: refusals with 429 and 503 after the time that the service asks for, and
connections that cannot be opened, or not in time. Everything else raises at once, a connection that breaks included.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

import httpx

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
    format: Literal["jpeg", "png", "webp", "avif", "tiff"]
    quality: int
    metadata: Literal["keep", "without_location", "strip"]


@dataclass(frozen=True)
class Enhanced:
    """An enhanced picture and what the service said about it.

    Attributes:
        data: the encoded picture.
        media_type: such as `image/jpeg`.
        model, version: what answered.
        detail: how it was rendered: `whole`, `guided` or `tiles`; for 16 bits also `whole-affine` or `tiles-affine`.
        gate: how far the already-bright gate let the enhancement through, 0 to 1.
        luminance_before, luminance_after: mean luminance, 0 to 1.
        seconds: time by stage, as in `Server-Timing`.
        request_id: name of this request in the service's log.
    """

    data: bytes
    media_type: str
    model: str
    version: int
    detail: str
    gate: float
    luminance_before: float
    luminance_after: float
    seconds: Mapping[str, float]
    request_id: str


class ServiceError(Exception):
    """The service refused, or failed; `problem` is its RFC 9457 document.

    Attributes:
        status: HTTP status.
        slug: last part of the problem type, such as `queue-full`.
        detail: what was wrong, and what is allowed.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.slug = str(problem.get("type", "")).rpartition("/")[2]
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP status {status}")
        super().__init__(f"{status}: {self.detail}")


class Client:
    """A synchronous client; a context manager.

    Args:
        url: where the service is.
        api_key: sent as a bearer token, where the service wants one.
        verify: for https: True for the authorities that the system trusts, False for anybody, or an `ssl.SSLContext`
            with an authority, or a client's certificate, of your own.
        timeout: seconds for each connect, read and write of an attempt, as httpx counts them.
        retries: how many times a refusal that may pass, or a connection that cannot be opened, is tried again.
        transport: for tests, an httpx transport.
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
            base_url=url,
            headers=_headers(api_key),
            verify=verify,
            timeout=timeout,
            transport=transport,
            follow_redirects=True,
        )

    def enhance(self, picture: bytes | Path, **options: Unpack[Options]) -> Enhanced:
        """Enhance one picture; a path is streamed from the disk.

        Raises:
            ServiceError: if the service refuses for good.
            httpx.TransportError: if it cannot be reached.
        """
        response = self._send(lambda: self._http.post("/enhance", params=_query(options), content=_upload(picture)))
        return _enhanced(response)

    def models(self) -> dict[str, Any]:
        """What `GET /models` lists."""
        return self._send(lambda: self._http.get("/models")).json()

    def ready(self) -> bool:
        """Whether the service can be reached and says that it is ready."""
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
    """The same, asynchronous. See `Client` for the arguments."""

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
            base_url=url,
            headers=_headers(api_key),
            verify=verify,
            timeout=timeout,
            transport=transport,
            follow_redirects=True,
        )

    async def enhance(self, picture: bytes | Path, **options: Unpack[Options]) -> Enhanced:
        """See `Client.enhance`."""
        response = await self._send(
            lambda: self._http.post("/enhance", params=_query(options), content=_async_upload(picture))
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
    """The answer, if it is one; else what went wrong is raised."""
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
        seconds={name: float(milliseconds) / 1000 for name, _, milliseconds in stages},
        request_id=headers["x-request-id"],
    )
