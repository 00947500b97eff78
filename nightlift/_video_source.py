"""Where a video comes from, and its properties, which are read before it is decoded."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

STDIN = "-"

WIDE_RANGE = frozenset({"smpte2084", "arib-std-b67"})
"""Transfer functions of HDR video (PQ and HLG), whose code values the networks were not trained on."""

_LOCATION = re.compile(r"location|gps|geo|latitude|longitude|altitude|iso6709|xyz|place|city|country", re.IGNORECASE)
"""Matches tags that hold the location, as phones, drones and Matroska name them."""

MOST_FRAMES = 240
"""Highest plausible frame rate; streams without one report the tick rate of their clock instead."""

PATIENCE = 30
"""Seconds in which a camera must answer."""

HEAD_BYTES = 2 << 20
"""Bytes of stdin that are examined to identify the video; fewer if no more arrive in `HEAD_SECONDS`."""

HEAD_SECONDS = 3

PIPE_BYTES = 1 << 20
"""Buffer of a pipe between processes."""


@dataclass(frozen=True)
class Clip:
    """Properties of a video, known before it is decoded.

    Attributes:
        width, height: of the upright frames, in pixels; both even, as encoders want them.
        rate: frames a second.
        frames: about how many there are; 0 if the file does not say.
        location_tags: names of the tags that hold the location, of the file and of each of its audio streams.
        sounds: codecs of its audio streams, as ffmpeg names them.
    """

    width: int
    height: int
    rate: Fraction
    frames: int
    location_tags: tuple[frozenset[str], ...] = (frozenset(),)
    sounds: tuple[str, ...] = ()


class Source:
    """Where a video comes from: a file, stdin, or anything else that ffmpeg can open.

    Attributes:
        name: as the user gave it.
        is_file: whether it can be read more than once.
    """

    def __init__(self, name: str) -> None:
        """`name` is a path, `-` for stdin, or a URL such as `rtsp://camera/stream`."""
        self.name = name
        self.is_file = name != STDIN and "://" not in name
        self._head = b""

    def look(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        """Run a command that takes the input as its last argument, without consuming bytes of stdin.

        Raises:
            ValueError: nothing came within half a minute.
        """
        if self.name == STDIN and not self._head:
            self._head = self._read_head()
        try:
            return subprocess.run(
                [*command, *self.arguments()],
                input=self._head if self.name == STDIN else None,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{self.name} did not respond within {PATIENCE} s") from None

    def arguments(self) -> list[str]:
        """The arguments by which ffmpeg opens it."""
        if self.name == STDIN:
            return ["-i", "pipe:0"]
        # Over UDP, packets of cameras are lost at anything but low rates.
        return [
            *(("-rtsp_transport", "tcp") if self.name.startswith(("rtsp://", "rtsps://")) else ()),
            "-i",
            self.name,
        ]

    def feed(self, process: subprocess.Popen[bytes]) -> None:
        """Copy stdin to the process, in a separate thread."""
        if self.name == STDIN:
            threading.Thread(target=self._copy, args=(process.stdin,), daemon=True).start()

    def _read_head(self) -> bytes:
        """The first bytes: enough to identify the video, without waiting long for a live stream."""
        head, until = b"", time.monotonic() + PATIENCE
        while len(head) < HEAD_BYTES and select.select([0], [], [], max(0.0, until - time.monotonic()))[0]:
            if not (data := os.read(0, PIPE_BYTES)):
                return head
            until = until if head else time.monotonic() + HEAD_SECONDS
            head += data
        if not head:
            raise ValueError(f"nothing arrived on stdin within {PATIENCE} s")
        return head

    def _copy(self, sink: IO[bytes]) -> None:
        with suppress(OSError, ValueError):  # the process needs no more, or has ended
            sink.write(self._head)
            while data := os.read(0, PIPE_BYTES):
                sink.write(data)
                sink.flush()
        with suppress(OSError):
            sink.close()


def probe(source: Source) -> Clip:
    """Read the properties of a video's first video stream.

    Raises:
        FileNotFoundError: there is no such file, or ffmpeg is not installed.
        ValueError: it is not a video, is of an unsupported kind, or does not respond.
    """
    if source.is_file and not Path(source.name).is_file():
        raise FileNotFoundError(f"no such file: {source.name}")
    path = source.name
    outcome = source.look([tool("ffprobe"), "-v", "error", "-show_streams", "-show_format", "-of", "json"])
    found = json.loads(outcome.stdout or "{}")
    pictures = [stream for stream in found.get("streams", ()) if stream.get("codec_type") == "video"]
    if outcome.returncode or not pictures:
        complaint = outcome.stderr.decode(errors="replace")
        reason = last_line(complaint, path) if outcome.returncode else "it has no pictures"
        raise ValueError(f"{path} is not a video: {reason}")
    stream = pictures[0]
    if stream.get("color_transfer") in WIDE_RANGE:
        raise ValueError(f"{path} is an HDR video ({stream['color_transfer']}); only SDR is supported")
    rate = _rate(stream)
    seconds = float(stream.get("duration") or found["format"].get("duration") or 0)
    turned = any(int(data.get("rotation", 0)) % 180 for data in stream.get("side_data_list", []))
    width, height = (stream["height"], stream["width"]) if turned else (stream["width"], stream["height"])
    frames = int(stream.get("nb_frames") or round(seconds * rate))
    sounds = [stream for stream in found["streams"] if stream.get("codec_type") == "audio"]
    location_tags = tuple(_location_tags(part.get("tags", {})) for part in (found["format"], *sounds))
    codecs = tuple(stream.get("codec_name", "") for stream in sounds)
    return Clip(width // 2 * 2, height // 2 * 2, rate, frames, location_tags, codecs)


def last_line(complaint: str, path: str = "") -> str:
    """The last line of ffmpeg's messages, which sums them up, without the addresses and names at its beginning."""
    lines = complaint.strip().splitlines() or ["ffmpeg does not say why"]
    line = re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[-1])
    return line.removeprefix(f"{path}: ")


def _rate(stream: dict[str, Any]) -> Fraction:
    """Frames per second: the average rate, else the stream's declared rate, else 25."""
    for text in (stream.get("avg_frame_rate", "0/0"), stream.get("r_frame_rate", "0/0")):
        if not text.endswith("/0") and 0 < Fraction(text) <= MOST_FRAMES:
            return Fraction(text)
    return Fraction(25)


def _location_tags(tags: dict[str, str]) -> frozenset[str]:
    return frozenset(name for name in tags if _LOCATION.search(name))


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"videos need {name}, which is not installed: see https://ffmpeg.org/download.html")
    return found
