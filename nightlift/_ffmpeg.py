"""Frames of a video through ffmpeg's pipes."""

from __future__ import annotations

import fcntl
import io
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
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

PIPE_BYTES = 1 << 20
"""Of a pipe between processes."""

Metadata = Literal["keep", "without_location", "strip"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """What a video is before it is decoded.

    Attributes:
        width, height: of the upright frames, in pixels; both even, as encoders want them.
        rate: frames a second.
        frames: about how many there are; 0 if the file does not say.
        places: names of the tags that say where it was taken, of the file and of each of its streams of sound.
    """

    width: int
    height: int
    rate: Fraction
    frames: int
    places: tuple[frozenset[str], ...] = (frozenset(),)


def probe(path: Path) -> Clip:
    """Look at a video's first stream of pictures.

    Raises:
        FileNotFoundError: there is no such file, or ffmpeg is not installed.
        ValueError: it is not a video, or a kind that is not supported.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    command = [_tool("ffprobe"), "-v", "error", "-show_streams", "-show_format"]
    outcome = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, text=True, check=False)
    found = json.loads(outcome.stdout or "{}")
    pictures = [stream for stream in found.get("streams", ()) if stream.get("codec_type") == "video"]
    if outcome.returncode or not pictures:
        reason = last_line(outcome.stderr, path) if outcome.returncode else "it has no pictures"
        raise ValueError(f"{path} is not a video: {reason}")
    stream = pictures[0]
    if stream.get("color_transfer") in WIDE_RANGE:
        raise ValueError(f"{path} is an HDR video ({stream['color_transfer']}); only SDR is supported")
    rate = Fraction(stream["avg_frame_rate"]) if stream["avg_frame_rate"] != "0/0" else Fraction(25)
    seconds = float(stream.get("duration") or found["format"].get("duration") or 0)
    turned = any(int(data.get("rotation", 0)) % 180 for data in stream.get("side_data_list", []))
    width, height = (stream["height"], stream["width"]) if turned else (stream["width"], stream["height"])
    frames = int(stream.get("nb_frames") or round(seconds * rate))
    sounds = (stream for stream in found["streams"] if stream.get("codec_type") == "audio")
    places = tuple(_places(part.get("tags", {})) for part in (found["format"], *sounds))
    return Clip(width // 2 * 2, height // 2 * 2, rate, frames, places)


def last_line(complaint: str, path: Path | None = None) -> str:
    """What ffmpeg says at the end, where it sums up, without the addresses and names that it begins with."""
    lines = complaint.strip().splitlines() or ["ffmpeg does not say why"]
    line = re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[-1])
    return line.removeprefix(f"{path}: ") if path else line


def _places(tags: dict[str, str]) -> frozenset[str]:
    return frozenset(name for name in tags if _PLACE.search(name))


@contextmanager
def reading(path: Path, clip: Clip) -> Iterator[Iterator[Pixels]]:
    """The frames, upright, uint8 [H, W, 3], sRGB primaries and transfer taken for those of the video (BT.709).

    Raises:
        ValueError: if ffmpeg cannot decode the video; said after the frames that it could.
    """
    command = [
        *(_tool("ffmpeg"), "-v", "error", "-nostdin", "-i", str(path), "-map", "0:v:0"),
        *("-vf", f"crop={clip.width}:{clip.height}:0:0", "-fps_mode", "cfr", "-r", str(clip.rate)),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    ]
    with _ffmpeg(command, stdout=subprocess.PIPE) as (process, complain):

        def frames() -> Iterator[Pixels]:
            pipe = process.stdout
            assert isinstance(pipe, io.BufferedReader)
            while True:
                frame = empty((clip.height, clip.width, 3), np.uint8)
                if pipe.readinto(frame.data.cast("B")) < frame.size:
                    break
                yield frame
            if process.wait():
                raise ValueError(f"{path} cannot be decoded: {complain()}")

        yield frames()


@contextmanager
def writing(path: Path, clip: Clip, source: Path, crf: int, metadata: Metadata) -> Iterator[IO[bytes]]:
    """Takes frames as bytes, RGB, and writes them as H.264 with the sound of `source` and its metadata.

    Raises:
        ValueError: if ffmpeg cannot write the video.
    """
    command = [
        *(_tool("ffmpeg"), "-v", "error", "-nostdin", "-y"),
        *(
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{clip.width}x{clip.height}",
            "-r",
            str(clip.rate),
            "-i",
            "-",
        ),
        *("-i", str(source), "-map", "0:v", "-map", "1:a?", *_metadata(clip, metadata), "-c:a", "copy"),
        *("-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", "-color_primaries", "bt709"),
        *("-color_trc", "bt709", "-c:v", "libx264", "-crf", str(crf), "-pix_fmt", "yuv420p", str(path)),
    ]
    with _ffmpeg(command, stdin=subprocess.PIPE) as (process, complain):
        assert process.stdin is not None
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            process.wait()
            raise ValueError(f"{path} cannot be written: {complain()}") from None
        if process.wait():
            raise ValueError(f"{path} cannot be written: {complain()}")


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
def _ffmpeg(command: list[str], **pipes: Any) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A running ffmpeg, and a function for what it complained of; it is ended if the block ends badly."""
    with tempfile.TemporaryFile() as complaints:

        def complain() -> str:
            complaints.seek(0)
            return last_line(complaints.read().decode(errors="replace"))

        process = subprocess.Popen(command, stderr=complaints, **pipes)
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
