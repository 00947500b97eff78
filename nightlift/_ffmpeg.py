"""Frames of a video through ffmpeg's pipes."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nightlift._video_source import PIPE_BYTES, STDIN, Clip, Source, last_line, tool
from service.memory import empty

STDOUT = "-"

PLAYLIST = ".m3u8"
"""Suffix of a target that is written in segments (HLS), so that it can be watched while it grows."""

COMMON_SOUNDS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""Audio codecs that MP4 and HLS accept; others are re-encoded."""

Metadata = Literal["keep", "without_location", "strip"]

Pixels = NDArray[np.uint8]
Complain = Callable[[], str]


class Frames:
    """Decoded frames, upright, uint8 [H, W, 3]. The video's BT.709 values are treated as sRGB."""

    def __init__(self, source: Source, clip: Clip, process: subprocess.Popen[bytes], complain: Complain) -> None:
        self._source, self._clip, self._process, self._complain = source, clip, process, complain
        self._stopped = False

    def __iter__(self) -> Iterator[Pixels]:
        """The frames in order.

        Raises:
            ValueError: if ffmpeg cannot decode the video; raised after the frames that it could decode.
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
        """Stop decoding here."""
        self._stopped = True
        self._process.terminate()


@contextmanager
def reading(source: Source, clip: Clip, sound: IO[bytes] | None = None) -> Iterator[Frames]:
    """The frames of a video. If the source can be read only once, its sound goes into the pipe `sound`."""
    command = [
        *(tool("ffmpeg"), "-v", "error", "-nostdin", *source.arguments(), "-map", "0:v:0"),
        *("-vf", f"crop={clip.width}:{clip.height}:0:0", "-fps_mode", "cfr", "-r", str(clip.rate)),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    ]
    if sound is not None:
        command += ["-map", "0:a", "-c:a", "copy", "-f", "nut", f"pipe:{sound.fileno()}"]
    stdin = subprocess.PIPE if source.name == STDIN else subprocess.DEVNULL
    passed = () if sound is None else (sound.fileno(),)
    with _ffmpeg(command, stdin=stdin, stdout=subprocess.PIPE, pass_fds=passed) as (process, complain):
        if sound is not None:
            sound.close()  # the child process holds its own copy
        source.feed(process)
        yield Frames(source, clip, process, complain)


@contextmanager
def sound_pipe(source: Source, clip: Clip) -> Iterator[tuple[IO[bytes] | None, IO[bytes] | None]]:
    """A pipe for sound from the reading ffmpeg to the writing one, for a source that can be read only once."""
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
        target: a path, whose suffix decides the container, or `-` for Matroska on stdout.
        clip, source: properties of the video, and where its sound and tags come from.
        crf: quality, 0 to 51.
        metadata: what is kept of the source's tags.
        sound: a pipe with the sound, if the source can be read only once.

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
        *(tool("ffmpeg"), "-v", "error", "-nostdin", "-y", *frames, *more, "-map", "0:v"),
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
            sound.close()  # so that the writer notices when this process ends
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
    """`copy` where the container accepts the sound as it is, else AAC."""
    return "copy" if target.endswith((".mkv", ".mov")) or set(clip.sounds) <= COMMON_SOUNDS else "aac"


def _metadata(clip: Clip, metadata: Metadata) -> list[str]:
    """Arguments that keep or drop the tags of the file and of its sound, and its chapters."""
    if metadata == "strip":
        return ["-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1"]
    arguments = ["-map_metadata", "1"]
    if metadata == "without_location":
        of_file, *of_sounds = clip.location_tags
        arguments += [part for name in sorted(of_file) for part in ("-metadata", f"{name}=")]
        for number, names in enumerate(of_sounds):
            arguments += [part for name in sorted(names) for part in (f"-metadata:s:a:{number}", f"{name}=")]
    return arguments


def _widen(pipe: IO[bytes] | None) -> None:
    """Enlarge a pipe's buffer, where the system can, so that there are fewer switches between processes."""
    if pipe is not None and (request := getattr(fcntl, "F_SETPIPE_SZ", None)) is not None:
        with suppress(OSError):  # above this user's limit for all pipes
            fcntl.fcntl(pipe, request, PIPE_BYTES)


@contextmanager
def _ffmpeg(command: list[str], **pipes: Any) -> Iterator[tuple[subprocess.Popen[bytes], Complain]]:
    """A running ffmpeg, and a function that returns its last error line; it is killed if the block fails."""
    with tempfile.TemporaryFile() as complaints:

        def complain() -> str:
            complaints.seek(0)
            return last_line(complaints.read().decode(errors="replace"))

        # In its own session, so that Ctrl-C reaches only this process.
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
