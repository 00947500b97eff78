"""A request's body, and one picture out of it: sent as it is, or as the part `image` of a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from service.errors import ClientGone, MalformedRequest, UnreadablePicture, UnsupportedFormat

FIELD = "image"

SLICE = 16 * 1024
"""Bytes of a form that are parsed at a time: some 7 ms, at worst, for which nobody else has a turn."""


async def read_body(request: Request) -> bytes:
    """All of a request's body, whose size was limited before.

    Raises:
        UnsupportedFormat: if it is compressed for the way.
        ClientGone: if the client left while it was sending.
    """
    encoding = request.headers.get("content-encoding", "")
    if encoding.lower() not in ("", "identity"):
        raise UnsupportedFormat(f"Content-Encoding {encoding[:32]!r} is not supported; send the request uncompressed")
    try:
        return await request.body()
    except ClientDisconnect:
        raise ClientGone("the client left while it was sending its request") from None


async def read_picture(request: Request) -> bytes:
    """The picture's bytes, never empty; raises as `read_body`, too.

    Raises:
        UnreadablePicture: if the body is empty.
        MalformedRequest: if a form cannot be parsed, or does not hold exactly one picture.
    """
    body = await read_body(request)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        form = await _parse(request.headers, body)
        try:
            body = await _only_picture(form)
        finally:
            await form.close()
    if not body:
        raise UnreadablePicture(f"the body is empty; send a picture as it is, or in the form field {FIELD!r}")
    return body


async def _parse(headers: Headers, body: bytes) -> FormData:
    async def stream() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), SLICE):
            yield body[start : start + SLICE]
            await asyncio.sleep(0)

    parser = MultiPartParser(headers, stream(), max_files=4, max_fields=16)
    parser.spool_max_size = len(body) + 1  # it is in memory already, and pictures never touch the disk
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise MalformedRequest(f"the multipart form cannot be parsed: {error.message}") from None
    except (KeyError, ValueError):
        raise MalformedRequest("the multipart form cannot be parsed: its Content-Type names no boundary") from None


async def _only_picture(form: FormData) -> bytes:
    pictures = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
    if len(pictures) != 1:
        fields = ", ".join(sorted(set(form))) or "none"
        raise MalformedRequest(
            f"the form must hold one file in the field {FIELD!r}; it holds {len(pictures)}, its fields are: {fields}"
        )
    return await pictures[0].read()
