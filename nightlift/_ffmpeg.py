"""Frames of a video through ffmpeg's pipes."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.memory import empty

WIDE_RANGE = frozenset({"smpte2084", "arib-std-b67"})
"""Transfer functions of HDR video (PQ and HLG), whose code values are not what the networks know."""

_PLACE = re.compile(r"location|gps|geo|latitude|longitude|altitude|iso6709|xyz|place|city|country", re.IGNORECASE)
"""In names of tags that say where a video was taken, as phones, drones and Matroska write them."""

STDIN = STDOUT = "-"

PLAYLIST = ".m3u8"
"""Suffix of a target that is written in segments (HLS), to be watched while it grows."""

COMMON_SOUNDS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""Codecs of sound that MP4 and HLS take; all else is coded anew."""

MOST_FRAMES = 240
"""A second; streams without a rate claim the tick of their clock instead."""

PATIENCE = 30
"""Seconds in which a camera must answer."""

HEAD_BYTES = 2 << 20
"""What of stdin is looked at to learn what it is, and less where no more comes in `HEAD_SECONDS`."""

HEAD_SECONDS = 3

PIPE_BYTES = 1 << 20
"""Of a pipe between processes."""

Metadata = Literal["keep", "without_location", "strip"]

Pixels = NDArray[np.uint8]
Complain = Callable[[], str]


@dataclass(frozen=True)
class Clip:
    """What a video is before it is decoded.

    Attributes:
        width, height: of the upright frames, in pixels; both even, as encoders want them.
        rate: frames a second.
        frames: about how many there are; 0 if the file does not say.
        places: names of the tags that say where it was taken, of the file and of each of its streams of sound.
        sounds: codecs of its streams of sound, as ffmpeg names them.
    """

    width: int
    height: int
    rate: Fraction
    frames: int
    places: tuple[frozenset[str], ...] = (frozenset(),)
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
        """What ffmpeg is told of it."""
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
    outcome = source.look([_tool("ffprobe"), "-v", "error", "-show_streams", "-show_format", "-of", "json"])
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
    places = tuple(_places(part.get("tags", {})) for part in (found["format"], *sounds))
    codecs = tuple(stream.get("codec_name", "") for stream in sounds)
    return Clip(width // 2 * 2, height // 2 * 2, rate, frames, places, codecs)


def _rate(stream: dict[str, Any]) -> Fraction:
    """Frames a second: the mean, else what the stream claims, else 25."""
    for text in (stream.get("avg_frame_rate", "0/0"), stream.get("r_frame_rate", "0/0")):
        if not text.endswith("/0") and 0 < Fraction(text) <= MOST_FRAMES:
            return Fraction(text)
    return Fraction(25)


def last_line(complaint: str, path: str = "") -> str:
    """What ffmpeg says at the end, where it sums up, without the addresses and names that it begins with."""
    lines = complaint.strip().splitlines() or ["ffmpeg does not say why"]
    line = re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[-1])
    return line.removeprefix(f"{path}: ")


def _places(tags: dict[str, str]) -> frozenset[str]:
    return frozenset(name for name in tags if _PLACE.search(name))


class Frames:
    """Decoded frames, upright, uint8 [H, W, 3], sRGB primaries and transfer taken for those of the video (BT.709)."""

    def __init__(self, source: Source, clip: Clip, process: subprocess.Popen[bytes], complain: Complain) -> None:
        self._source, self._clip, self._process, self._complain = source, clip, process, complain
        self._stopped = False

    def __iter__(self) -> Iterator[Pixels]:
        """The frames in order.

        Raises:
            ValueError: if ffmpeg cannot decode the video; said after the frames that it could.
        """
        pipe = self._process.stdout
        assert isinstance(pipe, io.BufferedReader)
        while True:
            frame = empty((self._clip.height, self._clip.width, 3), np.uint8)
            if pipe.readinto(frame.data.cast("B")) < frame.size:
                break
            yield frame
        if self._process.wait() and not self._stopped:
            raise ValueError(f"{self._source.name} cannot be decoded: {self._complain()}")

    def stop(self) -> None:
        """End the video where it is."""
        self._stopped = True
        self._process.terminate()


@contextmanager
def reading(source: Source, clip: Clip, sound: IO[bytes] | None = None) -> Iterator[Frames]:
    """The frames of a video; its sound goes into the pipe `sound`, for a source that can be read only once."""
    command = [
        *(_tool("ffmpeg"), "-v", "error", "-nostdin", *source.arguments(), "-map", "0:v:0"),
        *("-vf", f"crop={clip.width}:{clip.height}:0:0", "-fps_mode", "cfr", "-r", str(clip.rate)),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    ]
    if sound is not None:
        command += ["-map", "0:a", "-c:a", "copy", "-f", "nut", f"pipe:{sound.fileno()}"]
    stdin = subprocess.PIPE if source.name == STDIN else subprocess.DEVNULL
    passed = () if sound is None else (sound.fileno(),)
    with _ffmpeg(command, stdin=stdin, stdout=subprocess.PIPE, pass_fds=passed) as (process, complain):
        if sound is not None:
            sound.close()  # the process has it
        source.feed(process)
        yield Frames(source, clip, process, complain)


@contextmanager
def sound_pipe(source: Source, clip: Clip) -> Iterator[tuple[IO[bytes] | None, IO[bytes] | None]]:
    """A pipe from who reads a video to who writes one, for the sound of a source that can be read only once."""
    if source.is_file or not clip.sounds:
        yield None, None
        return
    from_reader, to_writer = os.pipe()
    with open(from_reader, "rb", buffering=0) as heard, open(to_writer, "wb", buffering=0) as hearing:
        _widen(hearing)
        yield heard, hearing


@contextmanager
def writing(
    target: str, clip: Clip, source: Source, crf: int, metadata: Metadata, sound: IO[bytes] | None = None
) -> Iterator[IO[bytes]]:
    """Takes frames as bytes, RGB, and writes them as H.264 with the sound of `source` and its metadata.

    Args:
        target: a path, whose suffix says the container, or `-` for Matroska on stdout.
        clip, source: what is written, and where the rest comes from.
        crf: quality, 0 to 51.
        metadata: what is kept of the source's tags.
        sound: a pipe that the sound comes from, where the source can be read only once.

    Raises:
        ValueError: if ffmpeg cannot write the video.
    """
    size = f"{clip.width}x{clip.height}"
    frames = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(clip.rate), "-i", "pipe:0")
    more: tuple[str, ...] = ()
    if source.is_file:
        more = ("-i", source.name)
    elif sound is not None:
        more = ("-thread_queue_size", "8192", "-f", "nut", "-i", f"pipe:{sound.fileno()}")
    tags = _metadata(clip, metadata if more else "strip")
    command = [
        *(_tool("ffmpeg"), "-v", "error", "-nostdin", "-y", *frames, *more, "-map", "0:v"),
        *((*("-map", "1:a?"), *tags, "-c:a", _sound_codec(target, clip)) if more else tags),
        *("-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_primaries", "bt709"),
        *(
            "-color_trc",
            "bt709",
            "-c:v",
            "libx264",
            "-crf",
            str(crf),
            "-pix_fmt",
            "yuv420p",
            *_container(target, clip),
        ),
    ]
    passed = () if sound is None else (sound.fileno(),)
    with _ffmpeg(command, stdin=subprocess.PIPE, pass_fds=passed) as (process, complain):
        assert process.stdin is not None
        if sound is not None:
            sound.close()  # so that who writes into it learns when this process has gone
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            process.wait()
            raise ValueError(f"{target} cannot be written: {complain()}") from None
        if process.wait():
            raise ValueError(f"{target} cannot be written: {complain()}")


def _container(target: str, clip: Clip) -> tuple[str, ...]:
    if target == STDOUT:
        return ("-f", "matroska", "pipe:1")
    if target.endswith(PLAYLIST):  # segments start at key frames
        every = str(max(1, round(2 * clip.rate)))
        return ("-g", every, "-hls_time", "2", "-hls_list_size", "0", "-hls_playlist_type", "event", target)
    return (target,)


def _sound_codec(target: str, clip: Clip) -> str:
    """As it is, where the container takes it."""
    return "copy" if target.endswith((".mkv", ".mov")) or set(clip.sounds) <= COMMON_SOUNDS else "aac"


def _metadata(clip: Clip, metadata: Metadata) -> list[str]:
    """Arguments that say what becomes of the tags of the file, of its sound, and of its chapters."""
    if metadata == "strip":
        return ["-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1"]
    arguments = ["-map_metadata", "1"]
    if metadata == "without_location":
        of_file, *of_sounds = clip.places
        arguments += [part for name in sorted(of_file) for part in ("-metadata", f"{name}=")]
        for number, names in enumerate(of_sounds):
            arguments += [part for name in sorted(names) for part in (f"-metadata:s:a:{number}", f"{name}=")]
    return arguments


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold a good part of a frame, where the system can: so there are fewer switches between processes."""
    if pipe is not None and (request := getattr(fcntl, "F_SETPIPE_SZ", None)) is not None:
        with suppress(OSError):  # more than this user's pipes may hold together
            fcntl.fcntl(pipe, request, PIPE_BYTES)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"videos need {name}, which is not installed: see https://ffmpeg.org/download.html")
    return found


@contextmanager
def _ffmpeg(command: list[str], **pipes: Any) -> Iterator[tuple[subprocess.Popen[bytes], Complain]]:
    """A running ffmpeg, and a function for what it complained of; it is ended if the block ends badly."""
    with tempfile.TemporaryFile() as complaints:

        def complain() -> str:
            complaints.seek(0)
            return last_line(complaints.read().decode(errors="replace"))

        # In a session of its own: Ctrl-C is ours to answer.
        process = subprocess.Popen(command, stderr=complaints, start_new_session=True, **pipes)
        for pipe in (process.stdin, process.stdout):
            _widen(pipe)
        try:
            yield process, complain
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()
