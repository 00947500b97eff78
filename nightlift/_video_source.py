"""Where a video comes from, and what it is before it is decoded."""

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
"""Transfer functions of HDR video (PQ and HLG), whose code values are not what the networks know."""

_LOCATION = re.compile(r"location|gps|geo|latitude|longitude|altitude|iso6709|xyz|place|city|country", re.IGNORECASE)
"""In names of tags that say where a video was taken, as phones, drones and Matroska write them."""

MOST_FRAMES = 240
"""A second; streams without a rate claim the tick of their clock instead."""

PATIENCE = 30
"""Seconds in which a camera must answer."""

HEAD_BYTES = 2 << 20
"""What of stdin is looked at to learn what it is, and less where no more comes in `HEAD_SECONDS`."""

HEAD_SECONDS = 3

PIPE_BYTES = 1 << 20
"""Of a pipe between processes."""


@dataclass(frozen=True)
class Clip:
    """What a video is before it is decoded.

    Attributes:
        width, height: of the upright frames, in pixels; both even, as encoders want them.
        rate: frames a second.
        frames: about how many there are; 0 if the file does not say.
        location_tags: names of the tags that say where it was taken, of the file and of each of its streams of sound.
        sounds: codecs of its streams of sound, as ffmpeg names them.
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
        name: as the user has it.
        is_file: whether it can be read more than once.
    """

    def __init__(self, name: str) -> None:
        """`name` is a path, `-` for stdin, or a URL such as `rtsp://camera/stream`."""
        self.name = name
        self.is_file = name != STDIN and "://" not in name
        self._head = b""

    def look(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        """Run a command that ends in the input's name, on what it can see without taking it from others.

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
            raise ValueError(f"{self.name} does not answer within {PATIENCE} s") from None

    def arguments(self) -> list[str]:
        """The arguments by which ffmpeg opens it."""
        if self.name == STDIN:
            return ["-i", "pipe:0"]
        # Cameras drop packets of UDP where there is more than a trickle.
        return [
            *(("-rtsp_transport", "tcp") if self.name.startswith(("rtsp://", "rtsps://")) else ()),
            "-i",
            self.name,
        ]

    def feed(self, process: subprocess.Popen[bytes]) -> None:
        """Give stdin's bytes to a process that reads them, in a thread of its own."""
        if self.name == STDIN:
            threading.Thread(target=self._copy, args=(process.stdin,), daemon=True).start()

    def _read_head(self) -> bytes:
        """What comes first: as much as tells what it is, and no more than a live stream has in a moment."""
        head, until = b"", time.monotonic() + PATIENCE
        while len(head) < HEAD_BYTES and select.select([0], [], [], max(0.0, until - time.monotonic()))[0]:
            if not (data := os.read(0, PIPE_BYTES)):
                return head
            until = until if head else time.monotonic() + HEAD_SECONDS
            head += data
        if not head:
            raise ValueError(f"nothing came on stdin within {PATIENCE} s")
        return head

    def _copy(self, sink: IO[bytes]) -> None:
        with suppress(OSError, ValueError):  # it has enough, or was ended
            sink.write(self._head)
            while data := os.read(0, PIPE_BYTES):
                sink.write(data)
                sink.flush()
        with suppress(OSError):
            sink.close()


def probe(source: Source) -> Clip:
    """Look at a video's first stream of pictures.

    Raises:
        FileNotFoundError: there is no such file, or ffmpeg is not installed.
        ValueError: it is not a video, or a kind that is not supported, or does not answer.
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
    """What ffmpeg says at the end, where it sums up, without the addresses and names that it begins with."""
    lines = complaint.strip().splitlines() or ["ffmpeg does not say why"]
    line = re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[-1])
    return line.removeprefix(f"{path}: ")


def _rate(stream: dict[str, Any]) -> Fraction:
    """Frames a second: the mean, else what the stream claims, else 25."""
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
