"""`nightlift enhance` as a user runs it: a process of its own, with the real engine or against a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nightlift._contact_sheets import write_contact_sheets
from nightlift._records import NAME as RECORDS
from tests.nightlift.commands import COMMAND, environment, nightlift
from tests.pictures import constant, dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import serving, wait_for
from tests.service.pictures.files import photo_with_place, told_by

EXACT = ("--protect", "0", "--no-gate")
PICTURES = 200


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def slow_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes some milliseconds a picture, so that a run can be killed half-way."""
    return make_repository(tmp_path_factory.mktemp("slow"), slow=0.01, max_batch_size=0)


def test_a_file_becomes_exactly_what_the_model_answers(repository: Path, tmp_path: Path) -> None:
    picture = dark_scene(size=(64, 96))
    (tmp_path / "dark.png").write_bytes(encoded(picture))
    outcome = nightlift("enhance", tmp_path / "dark.png", "-o", tmp_path / "b.png", *EXACT, repository=repository)
    assert outcome.returncode == 0, outcome.stderr
    np.testing.assert_array_equal(decoded((tmp_path / "b.png").read_bytes()), brightened(picture))


def test_standard_input_to_standard_output(repository: Path) -> None:
    picture = dark_scene(size=(64, 96))
    outcome = nightlift("enhance", "-", *EXACT, repository=repository, stdin=encoded(picture))
    assert outcome.returncode == 0
    assert outcome.stderr == b""
    np.testing.assert_array_equal(decoded(outcome.stdout), brightened(picture))


def test_where_a_photo_was_taken_is_not_told(repository: Path) -> None:
    outcome = nightlift("enhance", "-", repository=repository, stdin=photo_with_place())
    assert told_by(outcome.stdout) == {"maker"}


def test_a_server_gives_the_same(repository: Path, tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"in/{seed}").mkdir(parents=True)
        (tmp_path / f"in/{seed}/dark.png").write_bytes(encoded(dark_scene(size=(64, 96), seed=seed)))
    (tmp_path / "in/broken.jpg").write_bytes(b"no picture")
    with serving(repository, tmp_path / "log", default_model="brighten") as server:
        address = server.url.removeprefix("http://")
        outcome = nightlift("enhance", tmp_path / "in", "-o", tmp_path / "out", *EXACT, "--server", address)
    assert outcome.returncode == 1
    assert "broken.jpg: 400:" in outcome.stderr.decode()
    for seed in range(3):
        expected = brightened(dark_scene(size=(64, 96), seed=seed))
        np.testing.assert_array_equal(decoded((tmp_path / f"out/{seed}/dark.png").read_bytes()), expected)


def test_a_folder_killed_half_way_is_finished_by_the_next_run(slow_repository: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    formats = ("png", "jpeg", "webp", "bmp", "tiff")
    for number in range(PICTURES):
        path = source / f"{number % 7}" / f"{number:03}.{formats[number % len(formats)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(constant(10 + number % 100, (32, 48)), formats[number % len(formats)]))
    broken = source / "3" / "003.bmp"
    broken.write_bytes(broken.read_bytes()[:100])
    command = [*COMMAND, "enhance", str(source), "-o", str(out), *EXACT]
    with subprocess.Popen(command, env=environment(slow_repository), stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: len(results(out)) >= 20)
        process.kill()
    half = {path: path.stat().st_mtime_ns for path in results(out)}
    assert 20 <= len(half) < PICTURES - 20

    outcome = nightlift(*command[3:], repository=slow_repository)
    report = outcome.stderr.decode()
    assert outcome.returncode == 1
    assert "003.bmp" in report
    assert report.count("failed") == 2  # the column's title, and the one line
    after = {path: path.stat().st_mtime_ns for path in results(out)}
    assert len(after) == PICTURES - 1
    assert half.items() <= after.items(), "what was done was done again"
    assert [path.name for path in out.rglob(".*")] == [RECORDS], "temporary files are left"
    for path in after:
        code = 10 + int(path.name[:3]) % 100
        assert abs(int(decoded(path.read_bytes())[5, 5, 0]) - 2 * code) <= 4  # JPEG and WebP round


def test_what_is_done_is_skipped_unless_asked_for(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(constant(40)))
    words = ("enhance", tmp_path / "in", "-o", tmp_path / "out", *EXACT)
    result = tmp_path / "out/a.png"
    for more, is_new in (((), True), ((), False), (("--overwrite",), True)):
        before = result.stat().st_mtime_ns if result.exists() else 0
        outcome = nightlift(*words, *more, repository=repository)
        assert outcome.returncode == 0
        assert (result.stat().st_mtime_ns != before) == is_new


def test_options_that_are_newer_than_a_result_had_their_default(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(constant(40)))
    words = ("enhance", tmp_path / "in", "-o", tmp_path / "out")
    assert nightlift(*words, repository=repository).returncode == 0
    records, result = tmp_path / "out" / RECORDS, tmp_path / "out/a.png"
    record = json.loads(records.read_text())
    assert record["options"].pop("denoise") == "auto"
    assert record["options"].pop("exposure") == record["options"].pop("shadows") == 0
    records.write_text(json.dumps(record) + "\n")
    made = result.stat().st_mtime_ns
    assert nightlift(*words, repository=repository).returncode == 0
    assert result.stat().st_mtime_ns == made
    assert nightlift(*words, "--exposure", "1", repository=repository).returncode == 0
    assert result.stat().st_mtime_ns != made


def test_what_was_made_with_other_options_is_done_again(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(constant(40)))
    words = ("enhance", tmp_path / "in", "-o", tmp_path / "out", *EXACT)
    said = []
    for more, expected in (((), 80), (("--strength", "0"), 40), (("--strength", "0"), 40), ((), 80)):
        outcome = nightlift(*words, *more, repository=repository)
        assert outcome.returncode == 0
        assert decoded((tmp_path / "out/a.png").read_bytes())[0, 0, 0] == expected
        said.append("other options" in outcome.stderr.decode())
    assert said == [False, True, False, True]


def test_a_single_result_that_is_left_is_named(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(constant(40)))
    words = ("enhance", tmp_path / "a.png", "-o", tmp_path / "b.png", *EXACT)
    said = [nightlift(*words, repository=repository).stderr.decode() for _ in range(2)]
    assert ["--overwrite replaces it" in text for text in said] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_results_have_names_of_their_own_beside_the_inputs(repository: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.bmp", "c.d.jpg"):
        kind = {"bmp": "bmp", "jpg": "jpeg"}.get(name.rpartition(".")[2], "png")
        (tmp_path / name).write_bytes(encoded(constant(40), kind))
    words = ("enhance", *(tmp_path / name for name in ("a.png", "b.bmp", "c.d.jpg")), *EXACT)
    assert nightlift(*words, repository=repository).returncode == 0
    made = {path.name for path in results(tmp_path)} - {"a.png", "b.bmp", "c.d.jpg"}
    assert made == {"a.nightlift.png", "b.nightlift.png", "c.d.nightlift.jpg"}
    assert decoded((tmp_path / "a.nightlift.png").read_bytes())[0, 0, 0] == 80
    again = nightlift(*words, "--strength", "0", repository=repository).stderr.decode()
    assert again.count("already exists and was not changed; --overwrite replaces it") == 3


def test_scripts_get_json_and_people_may_have_quiet(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/10.png").write_bytes(encoded(constant(40)))
    (tmp_path / "in/2.png").write_bytes(b"no picture")
    words = ("enhance", tmp_path / "in", "-o", tmp_path / "out", *EXACT)
    for skipped in (False, True):
        outcome = nightlift(*words, "--json", repository=repository)
        assert (outcome.returncode, outcome.stderr) == (1, b"")
        told = {Path(one["source"]).name: one for one in map(json.loads, outcome.stdout.splitlines())}
        assert "text, not a picture" in told["2.png"]["error"]
        assert told["10.png"]["target"] == str(tmp_path / "out/10.png")
        assert told["10.png"].get("skipped", False) == skipped
        assert skipped or told["10.png"]["luminance_after"] > told["10.png"]["luminance_before"]
    quiet = nightlift(*words, "--quiet", repository=repository)
    assert quiet.stdout == b""
    (line,) = quiet.stderr.decode().splitlines()
    assert line.startswith("failed ")


def test_pipes_in_a_folder_are_left_out_with_a_word(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encoded(constant(40)))
    os.mkfifo(tmp_path / "in/b.png")
    (tmp_path / "in/c.png").symlink_to("gone.png")
    outcome = nightlift("enhance", tmp_path / "in", "-o", tmp_path / "out", repository=repository)
    assert outcome.returncode == 0
    report = outcome.stderr.decode()
    assert [name in report for name in ("a.png", "in/b.png", "in/c.png")] == [False, True, True]
    assert results(tmp_path / "out") == [tmp_path / "out/a.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_waits_for_what_never_comes(repository: Path, number: int) -> None:
    command = [*COMMAND, "enhance", "-"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(repository), **streams) as process:
        wait_for(lambda: reads_standard_input(process.pid))
        process.send_signal(number)
        assert process.wait(20) == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_whose_model_is_still_loading(repository: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "a.png").write_bytes(encoded(constant(60)))
    slow = environment(repository) | {"PYTHONPATH": str(tmp_path)}
    (tmp_path / "sitecustomize.py").write_text(
        "import asyncio, sys, threading, time\n"
        "if 'enhance' in sys.argv:\n"
        "    run = asyncio.run\n"
        "    async def late(work):\n"
        "        open('loading', 'w').close()\n"
        "        await asyncio.to_thread(time.sleep, 60)\n"
        "        return await work\n"
        "    asyncio.run = lambda work: run(late(work))\n"
    )
    command = [*COMMAND, "enhance", tmp_path / "a.png", "-o", tmp_path / "out"]
    with subprocess.Popen(command, env=slow, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        wait_for((tmp_path / "loading").exists)
        process.send_signal(number)
        assert process.wait(10) == 128 + number


def reads_standard_input(process: int) -> bool:
    """Whether one of its threads waits in a read of its file 0."""
    calls = (path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/syscall"))
    return any(call[:2] == ["0", "0x0"] for call in calls)


def test_contact_sheets_show_before_and_after(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(13):
        (tmp_path / f"in/{number:02}.png").write_bytes(encoded(constant(60, (210, 280))))
    out = tmp_path / "out"
    outcome = nightlift("enhance", tmp_path / "in", "-o", out, *EXACT, "--compare", repository=repository)
    assert outcome.returncode == 0
    first, second = (decoded(path.read_bytes()) for path in sorted(out.glob("contact_sheet_*.jpg")))
    assert first.shape[1] > second.shape[1]  # twelve in two columns, then one alone
    row = second[150]
    assert abs(int(row[100, 0]) - 60) <= 2
    assert abs(int(row[400, 0]) - 120) <= 2


def test_contact_sheets_have_titles_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(constant(60)))
    titles = []
    for title in ("", "photos", 200 * "a long name "):
        (sheet,) = write_contact_sheets([(path, path)], tmp_path, title)
        titles.append(decoded(sheet.read_bytes())[:32, :, 0])
    drawn = [int((title > 128).sum()) for title in titles]
    assert drawn[0] < drawn[1] < drawn[2]
    assert all(title[:, -6:].max() < 60 for title in titles), "it is cut off at the edge"


def test_there_is_no_contact_sheet_without_a_file_before_and_one_after(repository: Path, tmp_path: Path) -> None:
    picture = encoded(constant(60))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for source, stdin, status, left in (("-", picture, 0, ["out.jpg"]), ("broken.jpg", None, 1, [])):
        words = ("enhance", source, "-o", "out.jpg", "--compare")
        outcome = nightlift(*words, repository=repository, stdin=stdin, cwd=tmp_path)
        assert outcome.returncode == status, outcome.stderr.decode()
        assert [path.name for path in tmp_path.iterdir() if path.name != "broken.jpg"] == left
        (tmp_path / "out.jpg").unlink(missing_ok=True)


def test_watching_takes_pictures_that_come_later_and_ends_by_a_signal(repository: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    command = [*COMMAND, "enhance", str(source), "-o", str(out), *EXACT, "--watch"]
    with subprocess.Popen(command, env=environment(repository), stderr=subprocess.PIPE) as process:
        (source / "first.png").write_bytes(encoded(constant(40)))
        wait_for(lambda: (out / "first.png").exists())
        (source / "sub").mkdir()
        (source / "sub/second.png").write_bytes(encoded(constant(50)))
        (source / "broken.png").write_bytes(b"no picture")
        wait_for(lambda: (out / "sub/second.png").exists())
        process.send_signal(signal.SIGTERM)
        _, report = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"broken.png" in report
    assert decoded((out / "sub/second.png").read_bytes())[0, 0, 0] == 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((".",), "Missing output: . is a folder; use -o FOLDER"),
        (("a.png", "--watch"), "--watch needs an output folder"),
        (("a.png", "--compare"), "use -o FILE or FOLDER"),
        (("-", "--json"), "cannot both go to standard output"),
        (("a.png", "-o", "out", "--strength", "3"), "less than or equal to 1"),
        (("a.png", "-o", "out", "--model", "none"), "model 'none' not found"),
        (("a.png", "-o", "out", "--server", "http://127.0.0.1:9"), "cannot reach a service at http://127.0.0.1:9"),
        (("-", "-o", "-", "--watch"), "--watch needs an output folder"),
    ],
)
def test_wrong_commands_exit_with_2_and_say_why(
    words: tuple[str, ...], message: str, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(encoded(constant(40)))
    outcome = nightlift("enhance", *words, repository=repository, stdin=b"", cwd=tmp_path)
    assert outcome.returncode == 2
    assert message in " ".join(outcome.stderr.decode().split())
    assert not (tmp_path / "out").exists()


def results(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")]
