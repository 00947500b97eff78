"""`nightlift video` with streams instead of files: stdin and stdout, HTTP, an RTSP camera, a growing playlist."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.nightlift.commands import environment, nightlift
from tests.nightlift.test_video import FRAMES, SIZE, clip, frames_of, probe, repository
from tests.servers import free_port

__all__ = ["clip", "repository"]  # fixtures

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "nightlift.cli", *map(str, arguments)]


@pytest.fixture(scope="module")
def web(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The clip's address, at a server that sends files from their beginning only."""
    folder = tmp_path_factory.mktemp("web")
    streamed = ("ffmpeg", "-v", "error", "-i", clip, "-c", "copy", "-movflags", "+faststart", folder / clip.name)
    subprocess.run(streamed, check=True)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{clip.name}"
        server.shutdown()


@pytest.fixture(scope="module")
def camera(clip: Path) -> Iterator[str]:
    """The clip's address as a camera would have one."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if (
        not shutil.which(SYSTEM_PYTHON)
        or subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True).returncode
    ):
        pytest.skip("GStreamer's RTSP server is not installed")
    port = free_port()
    server = subprocess.Popen([SYSTEM_PYTHON, RTSP_SERVER, clip, str(port)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield f"rtsp://127.0.0.1:{port}/night"
    finally:
        server.kill()
        server.wait()


def kinds(path: Path) -> list[str]:
    return sorted(stream["codec_type"] for stream in probe(path)["streams"])


def test_a_pipe_in_and_a_pipe_out(repository: Path, clip: Path, tmp_path: Path) -> None:
    streamed = tmp_path / "in.mkv"
    subprocess.run(("ffmpeg", "-v", "error", "-i", clip, "-c", "copy", streamed), check=True)
    with streamed.open("rb") as source, (tmp_path / "out.mkv").open("wb") as target:
        process = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
        outcome = subprocess.run(
            command("video", "-", "-"),
            env=environment(repository),
            stdin=process.stdout,
            stdout=target,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
        process.wait()
    assert outcome.returncode == 0, outcome.stderr.decode()
    frames = frames_of(tmp_path / "out.mkv")
    assert frames.shape[1:] == (*SIZE, 3)
    assert FRAMES <= len(frames) <= FRAMES + 1  # Matroska's clock has milliseconds
    assert kinds(tmp_path / "out.mkv") == ["audio", "video"]


def test_what_comes_by_http_keeps_its_sound(repository: Path, web: str, tmp_path: Path) -> None:
    outcome = nightlift("video", web, tmp_path / "out.mp4", repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert frames_of(tmp_path / "out.mp4").shape == (FRAMES, *SIZE, 3)
    assert kinds(tmp_path / "out.mp4") == ["audio", "video"]
    assert probe(tmp_path / "out.mp4")["format"]["tags"]["title"] == "Night"


def test_a_camera_is_watched(repository: Path, camera: str, tmp_path: Path) -> None:
    outcome = nightlift("video", camera, tmp_path / "out.mp4", repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    frames = frames_of(tmp_path / "out.mp4")
    assert frames.shape[1:] == (*SIZE, 3)
    assert FRAMES - 3 <= len(frames) <= FRAMES + 3  # the clock of a stream, not of a file
    assert kinds(tmp_path / "out.mp4") == ["audio", "video"]


def test_a_playlist_grows_until_ctrl_c_and_is_whole_then(repository: Path, clip: Path, tmp_path: Path) -> None:
    endless = (
        "ffmpeg",
        "-v",
        "error",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(clip),
        "-c",
        "copy",
        "-f",
        "mpegts",
        "-",
    )
    camera = subprocess.Popen(endless, stdout=subprocess.PIPE)
    playlist = tmp_path / "live" / "night.m3u8"
    process = subprocess.Popen(
        command("video", "-", playlist), env=environment(repository), stdin=camera.stdout, stderr=subprocess.PIPE
    )
    try:
        waited_until = time.monotonic() + 90
        while not (playlist.exists() and ".ts" in playlist.read_text()):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < waited_until
            time.sleep(0.2)
        assert "#EXT-X-ENDLIST" not in playlist.read_text()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint.decode()
    finally:
        camera.kill()
        process.kill()
        camera.wait()
        process.wait()
    assert "#EXT-X-ENDLIST" in playlist.read_text()
    assert frames_of(playlist).shape[1:] == (*SIZE, 3)


def test_a_camera_that_does_not_answer_is_said(repository: Path, clip: Path, tmp_path: Path) -> None:
    outcome = nightlift("video", f"rtsp://127.0.0.1:{free_port()}/night", tmp_path / "out.mp4", repository=repository)
    assert outcome.returncode == 2
    assert b"is not a video" in outcome.stderr
    assert b"Connection refused" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_on_stdin_is_no_video(repository: Path, clip: Path, tmp_path: Path) -> None:
    outcome = subprocess.run(
        command("video", "-", tmp_path / "out.mp4"),
        env=environment(repository),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 2
    assert b"- is not a video" in outcome.stderr
    assert not os.listdir(tmp_path)
