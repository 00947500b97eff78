"""`nightlift video` on clips made here: complete, steady, with sound; and what is said where it cannot be."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nightlift._video import ahead, share_of_new
from tests.nightlift.commands import environment, nightlift
from tests.pictures import darken, scene
from tests.repositories import make_repository
from tests.tensor_models import make_tensor_model

RATE = 25
FRAMES = 30
CUT_AT = 20
SIZE = (120, 160)
NEUTRAL = ("--protect", "0", "--no-gate")

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that flickers: its gain is between 2 and 3, another for every frame's noise."""
    root = make_repository(tmp_path_factory.mktemp("repository"), working_side=64)
    onnx.save(flickering_graph(), root / "brighten/1/model.onnx")
    return root


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera pans across a dark room, with sensor noise, then there is a cut to another; with a tone for sound."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path_factory.mktemp("clip") / "dark.mp4"
    frames = [darken(view(number), gain=0.1, seed=number).tobytes() for number in range(FRAMES)]
    command = [
        *("ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE[1]}x{SIZE[0]}"),
        *("-r", str(RATE), "-i", "-", "-f", "lavfi", "-i", f"sine=frequency=440:duration={FRAMES / RATE}"),
        *(
            "-c:v",
            "libx264",
            "-crf",
            "1",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
            "-metadata",
            "title=Night",
            str(path),
        ),
    ]
    subprocess.run(command, input=b"".join(frames), check=True)
    return path


def test_a_video_is_steady_complete_and_keeps_its_sound(repository: Path, clip: Path, tmp_path: Path) -> None:
    swing = {}
    for name, seconds in (("steady", "0.5"), ("alone", "0")):
        target = tmp_path / f"{name}.mp4"
        outcome = nightlift(
            *("video", clip, target, "--temporal-smoothing", seconds, "--crf", "1", *NEUTRAL),
            repository=repository,
        )
        assert outcome.returncode == 0, outcome.stderr.decode()
        source, result = frames_of(clip), frames_of(target)
        assert result.shape == source.shape == (FRAMES, *SIZE, 3)
        gain = result.mean(axis=(1, 2, 3)) / source.mean(axis=(1, 2, 3))
        assert ((gain > 1.8) & (gain < 3.2)).all()
        swing[name] = np.abs(np.diff(np.log(gain)))[np.arange(FRAMES - 1) != CUT_AT - 1].mean()
        # From the first frame after the cut on, nothing of the scene before shows: an unaveraged result.
        assert abs(float(np.corrcoef(source[CUT_AT].ravel(), result[CUT_AT].ravel())[0, 1])) > 0.98
    assert swing["alone"] > 0.05, "this network was meant to flicker"
    assert swing["steady"] < swing["alone"] / 5
    assert swing["steady"] < 0.015

    streams = probe(tmp_path / "steady.mp4")
    assert [stream["codec_type"] for stream in streams["streams"]] == ["video", "audio"]
    assert streams["format"]["tags"]["title"] == "Night"
    assert not list(tmp_path.glob(".*")), "temporary files are left"


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [(None, {"title"}), ("without_location", {"title"}), ("keep", {"title", "location"}), ("strip", set())],
)
def test_where_a_video_was_taken_is_told_only_where_that_is_asked_for(
    repository: Path, clip: Path, tmp_path: Path, metadata: str | None, kept: set[str]
) -> None:
    located = tmp_path / "located.mp4"
    tag = ("-metadata", "location=+59.3293+018.0686/", "-metadata:s:a:0", "title=Wind")
    subprocess.run(("ffmpeg", "-v", "error", "-i", clip, "-c", "copy", "-t", "0.2", *tag, located), check=True)
    assert probe(located)["format"]["tags"]["location"] == "+59.3293+018.0686/"
    more = ("--metadata", metadata) if metadata else ()
    outcome = nightlift("video", located, tmp_path / "out.mp4", *more, repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert (b"loci" in (tmp_path / "out.mp4").read_bytes()) == ("location" in kept)
    assert {"title", "location"} & probe(tmp_path / "out.mp4")["format"].get("tags", {}).keys() == kept


def test_a_video_that_is_there_is_left_unless_asked_for(repository: Path, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    outcome = nightlift("video", clip, target, repository=repository)
    assert outcome.returncode == 2
    assert b"out.mp4 already exists; --overwrite replaces it" in outcome.stderr
    assert target.read_bytes() == b"precious"
    outcome = nightlift("video", clip, target, "--overwrite", repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert len(frames_of(target)) == FRAMES


def test_a_video_taken_upright_stays_upright(repository: Path, clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    rotate = (
        "ffmpeg",
        "-v",
        "error",
        "-display_rotation",
        "90",
        "-i",
        str(clip),
        "-c",
        "copy",
        "-t",
        "0.2",
        str(turned),
    )
    if subprocess.run(rotate, capture_output=True, check=False).returncode:  # before ffmpeg 6
        old = ("ffmpeg", "-v", "error", "-i", str(clip), "-c", "copy", "-t", "0.2", "-metadata:s:v", "rotate=90")
        subprocess.run([*old, str(turned)], check=True)
    outcome = nightlift("video", turned, tmp_path / "out.mp4", *NEUTRAL, repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert frames_of(tmp_path / "out.mp4").shape[1:] == (SIZE[1], SIZE[0], 3)


@pytest.mark.usefixtures("clip")
def test_what_is_no_video_is_said_and_nothing_written(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    outcome = nightlift("video", tmp_path / "text.mp4", tmp_path / "out.mp4", repository=repository)
    assert outcome.returncode == 2
    assert b"is not a video" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


@pytest.mark.usefixtures("clip")
def test_a_video_that_cannot_be_enhanced_is_said_and_nothing_written(repository: Path, tmp_path: Path) -> None:
    make = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=gray:s=320x8:d=0.2", str(tmp_path / "low.mp4"))
    subprocess.run(make, check=True)
    outcome = nightlift("video", tmp_path / "low.mp4", tmp_path / "out.mp4", repository=repository)
    said = outcome.stderr.decode()
    assert outcome.returncode == 2, said
    assert "\nnightlift: the picture has 320 x 8 pixels; " in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["low.mp4"]


def test_a_model_that_takes_no_pictures_is_said(clip: Path, tmp_path: Path) -> None:
    root = make_tensor_model(tmp_path / "models", "mapper")
    outcome = nightlift("video", clip, tmp_path / "out.mp4", "--model", "mapper", repository=root)
    assert outcome.returncode == 2
    assert b"model 'mapper' takes no pictures, only the tensors proxy, evidence, exposure" in outcome.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_a_target_that_cannot_be_written_is_said(repository: Path, clip: Path, tmp_path: Path) -> None:
    """Also while frames are under way at every stage, none of which may wait for ever."""
    outcome = nightlift("video", clip, tmp_path / "out.nope", repository=repository)
    assert outcome.returncode == 2
    assert b"cannot be written" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_items_come_in_order_and_errors_after_them() -> None:
    async def numbers() -> AsyncGenerator[int]:
        for number in range(9):
            yield number
        raise ValueError("nine")

    found = []

    async def collect() -> None:
        async for number in ahead(numbers(), 2):
            found.append(number)

    with pytest.raises(ValueError, match="nine"):
        asyncio.run(collect())
    assert found == list(range(9))


def test_who_asks_no_more_ends_what_runs_ahead() -> None:
    ended = []

    async def endless() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(True)

    async def take_one() -> None:
        async with aclosing(ahead(endless(), 2)) as items:
            async for _ in items:
                await asyncio.sleep(0.01)
                break

    asyncio.run(asyncio.wait_for(take_one(), 10))
    assert ended == [True]


def test_a_machine_without_ffmpeg_is_told_so(repository: Path, clip: Path, tmp_path: Path) -> None:
    outcome = nightlift("video", clip, tmp_path / "out.mp4", env=environment(repository, PATH=str(tmp_path)))
    assert outcome.returncode == 2
    assert b"videos need ffprobe, which is not installed" in outcome.stderr


@pytest.mark.parametrize(("seconds", "rate", "share"), [(0, 25, 1.0), (0.5, 25, 0.0769), (1.0, 50, 0.0198)])
def test_share_of_new_frames(seconds: float, rate: float, share: float) -> None:
    assert share_of_new(seconds, rate) == pytest.approx(share, abs=1e-4)


def view(number: int) -> Frames:
    """The well-lit frame: a window that moves over one photo, and from `CUT_AT` on another photo."""
    photo = scene("coffee" if number < CUT_AT else "astronaut", (SIZE[0] + 40, SIZE[1] + 40))
    return photo[number : number + SIZE[0], number : number + SIZE[1]]


def frames_of(path: Path) -> Frames:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return np.stack(frames)


def probe(path: Path) -> dict:
    command = ("ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path))
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def flickering_graph() -> onnx.ModelProto:
    """enhanced = image * (2 + the fraction of the sum of all code values / 977), clipped."""
    constants = {
        "seed": np.array(1 / 977, np.float32),
        "two": np.array(2, np.float32),
        "white": np.array(255, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["codes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "seed"], ["turns"]),
        helper.make_node("Floor", ["turns"], ["whole"]),
        helper.make_node("Sub", ["turns", "whole"], ["fraction"]),
        helper.make_node("Add", ["fraction", "two"], ["gain"]),
        helper.make_node("Mul", ["codes", "gain"], ["brighter"]),
        helper.make_node("Min", ["brighter", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["enhanced"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "flicker",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, ["N", "H", "W", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_video_without_a_name_lies_beside_its_source_and_is_summed_up(
    repository: Path, clip: Path, tmp_path: Path
) -> None:
    source = tmp_path / "night.mp4"
    shutil.copy(clip, source)
    outcome = nightlift("video", source, repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    made = tmp_path / "night.nightlift.mp4"
    assert made.stat().st_size > 1000
    assert outcome.stderr.decode().splitlines()[-1].startswith(f"{made}: ")
    quiet = nightlift("video", source, "--overwrite", "--quiet", repository=repository)
    assert f"{made}: " not in quiet.stderr.decode()
