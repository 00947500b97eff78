"""Multipart forms (RFC 7578), parsed while they arrive: their parts, with or without file names.

Many clients send a file without a `filename`, or with `filename*` alone (Java's ByteArrayResource, form-data with a
buffer), so the name of a part decides whether it is the file, not the presence of a file name.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import MalformedRequest

SLICE = 16 * 1024
"""Bytes of a form that are parsed at a time, which blocks other requests for some 7 ms at worst."""

MAX_PARTS = 32

MAX_TEXT_LENGTH = 1024
"""Most bytes of a part other than the file, and most characters of a part's name."""


@dataclass(frozen=True)
class Form:
    """The parts of a form.

    Attributes:
        files: the contents of the parts of the wanted name.
        texts: name and text of all others, in their order.
    """

    files: list[bytes] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)


async def parse_form(content_type: str, body: AsyncIterable[bytes], file: str) -> Form:
    """The parts of a form, held as one copy; parsing lets other requests run in between.

    Args:
        content_type: the request's, with the boundary.
        body: all of it, in pieces of any length.
        file: name of the parts that may be long and are not text.

    Raises:
        MalformedRequest: it is not a form, it ends early, or its parts are too many or too long.
    """
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedRequest("the multipart form cannot be parsed: its Content-Type names no boundary")
    parts = _Parts(file)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.end_of_form,
            },
        )
        async for piece in body:
            for start in range(0, len(piece), SLICE):
                parser.write(piece[start : start + SLICE])
                await asyncio.sleep(0)
    except FormParserError as error:
        raise MalformedRequest(f"the multipart form cannot be parsed: {error}") from None
    if not parts.is_complete:
        raise MalformedRequest("the multipart form cannot be parsed: it ends before its last boundary")
    return parts.form


class _Parts:
    """Receives the parser's events."""

    def __init__(self, file: str) -> None:
        self.form = Form()
        self.is_complete = False
        self._file = file
        self._count = 0
        self._field = self._value = b""
        self._disposition = b""
        self._name = ""
        self._content = io.BytesIO()

    def begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise MalformedRequest(f"the multipart form has more than {MAX_PARTS} parts")
        self._disposition, self._name, self._content = b"", "", io.BytesIO()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if name is None or len(name) > MAX_TEXT_LENGTH:
            raise MalformedRequest("a part of the multipart form has no name, or a very long one")
        self._name = name.decode("utf-8", "replace")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._name != self._file and self._content.tell() + end - start > MAX_TEXT_LENGTH:
            raise MalformedRequest(
                f"the form's field {self._name[:64]!r} is longer than {MAX_TEXT_LENGTH} bytes; "
                f"put the file into the field {self._file!r}"
            )
        self._content.write(memoryview(data)[start:end])

    def end(self) -> None:
        content = self._content.getvalue()  # the buffer itself: nothing is copied
        if self._name == self._file:
            self.form.files.append(content)
        else:
            self.form.texts.append((self._name, content.decode("utf-8", "replace")))

    def end_of_form(self) -> None:
        self.is_complete = True
