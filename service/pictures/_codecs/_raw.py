"""Camera raw by LibRaw (rawpy), which comes with the extra `nightlift[raw]`.

Developed neutrally: the camera's white balance, sRGB primaries and curve, 16 bits, no brightening. LibRaw parses some
hundred formats whose cost cannot be told from a header, so every file gets its own process with limits on memory and
time, and is killed if it exceeds them. Starting it takes 0.15 s of the seconds that a raw file needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO, Any

import numpy as np

from service.errors import UnreadablePicture, UnsupportedFormat
from service.memory import empty
from service.pictures._codecs import _jpeg
from service.pictures._codecs._raw_kinds import is_cut_short
from service.pictures._codecs._samples import Samples
from service.pictures._directories import first_directory
from service.pictures._exif import from_tiff
from service.pictures._formats import PictureFormat, reads_raw
from service.pictures._header import Header

_CHILD = Path(__file__).with_name("_raw_process.py")
_HEADER_SECONDS, _PIXELS_SECONDS = 10, 60
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}
"""LibRaw's names of turns -> EXIF's."""


def read_header(data: bytes) -> Header:
    """The header by LibRaw, which decodes nothing for it.

    Raises:
        UnsupportedFormat: the extra is not installed, or LibRaw does not know the camera.
    """
    if not reads_raw():
        raise UnsupportedFormat(
            "The file is a camera raw file, which this installation cannot read; its operator can install "
            "'nightlift[raw]', or you can develop it to TIFF or JPEG first."
        )
    with _running("header", data, _HEADER_SECONDS) as (answer, output):
        preview = output.read(answer["preview_bytes"])
    if is_cut_short(data, answer["width"] * answer["height"]):
        raise UnreadablePicture("The picture is a camera raw file, but it is cut short; send the whole file.")
    return Header(
        PictureFormat.RAW,
        answer["width"],
        answer["height"],
        bits=16,
        orientation=_ORIENTATIONS.get(answer["flip"], 1),
        exif=_exif(data, preview),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The developed picture, not yet upright."""
    pixels = empty((header.stored_height, header.stored_width, 3), np.uint16)
    with _running("pixels", data, _PIXELS_SECONDS) as (answer, output):
        if (answer["height"], answer["width"]) != pixels.shape[:2]:
            raise ValueError(f"the header announced {header}, LibRaw gave {answer}")
        view, position = memoryview(pixels.data).cast("B"), 0
        while count := output.readinto(view[position:]):  # type: ignore[attr-defined]
            position += count
    if position != pixels.nbytes:
        raise ValueError(f"LibRaw gave {position} of {pixels.nbytes} bytes")
    return Samples(pixels)


@contextmanager
def _running(task: str, data: bytes, seconds: float) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
    """A process that does a task: what it says first, and what follows.

    Raises:
        UnsupportedFormat, UnreadablePicture: it fails, or takes too long or too much memory.
    """
    command = [sys.executable, "-I", str(_CHILD), task, str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        try:
            process.stdin.write(data)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has said why
        answer = json.loads(process.stdout.readline() or b"{}")
        if "unsupported" in answer:
            raise UnsupportedFormat(
                f"The file is a camera raw file that LibRaw cannot read: {answer['unsupported']}."
            )
        if "width" not in answer:
            why = answer.get("damaged", f"LibRaw exceeded {seconds} s or its memory limit")
            raise UnreadablePicture(f"The picture is a camera raw file, but it cannot be developed: {why}.")
        yield answer, process.stdout
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        if not process.stdin.closed:
            process.stdin.close()


def _exif(data: bytes, preview: bytes) -> bytes | None:
    """The EXIF block of the file where that is a TIFF, else that of its preview."""
    try:
        return from_tiff(first_directory(data))
    except ValueError:
        pass
    try:
        return _jpeg.read_header(preview).exif
    except Exception:  # a preview of another kind, or none
        return None
