"""Reads a request's body, and the picture in it: sent directly, or as the field `image` of a form with options."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.errors import ClientGone, InvalidParameter, MalformedRequest, UnreadablePicture, UnsupportedFormat
from service.http._body_limit import check_picture
from service.http._form import Form, parse_form

FIELD = "image"

_TEXTS = ((b"{", "JSON"), (b"[", "JSON"), (b'"', "JSON"), (b"data:", "a data URL"))
"""First bytes of bodies that hold a picture as text -> what they are."""


@dataclass(frozen=True)
class Upload:
    """The contents of a request.

    Attributes:
        picture: the picture's bytes, never empty.
        options: those that were in the form, by name.
    """

    picture: bytes
    options: dict[str, str] = field(default_factory=dict)


async def read_body(request: Request) -> bytes:
    """All of a request's body, whose size was checked before; only one copy is held.

    Raises:
        UnsupportedFormat: if it has a Content-Encoding.
        ClientGone: if the client left while it was sending.
    """
    body = io.BytesIO()
    async for piece in _pieces(request):
        body.write(piece)
    return body.getvalue()  # the buffer itself: nothing is copied


async def read_upload(request: Request) -> Upload:
    """The picture and the form's options; raises as `read_body`, too.

    Raises:
        BodyTooLarge: if the body uses the larger limit of camera raw but is not camera raw.
        UnreadablePicture: if the body is empty, or the picture is written as text.
        MalformedRequest: if a form cannot be parsed, or does not hold exactly one picture.
        InvalidParameter: if a form has an option twice.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        form = await parse_form(content_type, _pieces(request), FIELD)
        upload = Upload(_only_picture(form), _options(form))
    else:
        upload = Upload(await read_body(request))
    if not upload.picture:
        raise UnreadablePicture(f"the body is empty; send a picture as the body, or in the form field {FIELD!r}")
    _refuse_text(upload.picture)
    check_picture(upload.picture, request.app.state.runtime.settings)
    return upload


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Starlette's `request.body()` would keep it for the whole request."""
    encoding = request.headers.get("content-encoding", "")
    if encoding.lower() not in ("", "identity"):
        raise UnsupportedFormat(f"Content-Encoding {encoding[:32]!r} is not supported; send the request uncompressed")
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise ClientGone("the client left while it was sending its request") from None


def _only_picture(form: Form) -> bytes:
    if len(form.files) != 1:
        fields = ", ".join(sorted({name for name, _ in form.texts} | ({FIELD} if form.files else set()))) or "none"
        raise MalformedRequest(
            f"the form must hold one file in the field {FIELD!r}; it holds {len(form.files)}, its fields are: "
            f"{fields[:200]}"
        )
    return form.files[0]


def _options(form: Form) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, text in form.texts:
        if name in options:
            raise InvalidParameter(f"the form has the field {name[:64]!r} more than once")
        options[name] = text
    return options


def _refuse_text(picture: bytes) -> None:
    """Refuse pictures in JSON or data URLs, which are a third longer and decoded twice; say how to send them."""
    head = picture[:64].lstrip()
    for begin, name in _TEXTS:
        if head.startswith(begin):
            raise UnreadablePicture(
                f"the body is {name}, but base64 is not accepted; send the picture's bytes as they are, such as by "
                "curl --data-binary @photo.jpg 'http://localhost:8000/enhance?strength=0.8' -o bright.jpg, "
                f"or by curl -F {FIELD}=@photo.jpg -F strength=0.8 http://localhost:8000/enhance -o bright.jpg"
            )
