"""Which picture goes where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightlift._jobs import STREAM, Job, find_jobs, path_within


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def placed(jobs: list[Job], root: Path) -> dict[str, tuple[str, str | None]]:
    return {
        job.source.relative_to(root).as_posix(): (job.target.relative_to(root).as_posix(), job.format) for job in jobs
    }


def test_a_folder_keeps_its_tree_and_leaves_out_what_is_no_picture(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.JPG", "in/deep/er/b.png", "in/notes.txt", "in/.hidden.png", "in/.thumbs/c.png", "in/d.heic")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", None)
    assert placed(jobs, tmp_path) == {
        "in/a.JPG": ("out/a.JPG", "jpeg"),
        "in/d.heic": ("out/d.jpg", "jpeg"),
        "in/deep/er/b.png": ("out/deep/er/b.png", "png"),
    }


def test_pictures_come_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    touch(tmp_path, "in/10.png", "in/9.png", "in/1.png", "in/b2/x.png", "in/b10/x.png", "in/photo 2.png", "in/a.png")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", None)
    names = [job.source.relative_to(tmp_path / "in").as_posix() for job in jobs]
    assert names == ["1.png", "9.png", "10.png", "a.png", "photo 2.png", "b2/x.png", "b10/x.png"]


def test_several_folders_keep_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "two/a.png", "b.png")
    jobs = find_jobs([tmp_path / "one", tmp_path / "two", tmp_path / "b.png"], tmp_path / "out", None)
    assert {target for target, _ in placed(jobs, tmp_path).values()} == {
        "out/one/a.png",
        "out/two/a.png",
        "out/b.png",
    }


def test_a_folder_for_results_inside_the_input_is_no_input(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/out/b.png")
    assert placed(find_jobs([tmp_path / "in"], tmp_path / "in/out", None), tmp_path) == {
        "in/a.png": ("in/out/a.png", "png")
    }


@pytest.mark.parametrize(
    ("folder", "other", "place"),
    [
        ("/photos", "/photos/bright/day", "bright/day"),
        ("bucket/photos/", "bucket/photos/bright", "bright"),
        ("bright", "bright/a.jpg", "a.jpg"),
        ("bright", "bright", "."),
        ("bright", "brighter/a.jpg", None),
        ("bright", "a.jpg", None),
        ("/photos", "/", None),
        ("/photos", "/photos/..bright", "..bright"),
    ],
)
def test_where_a_place_is_within_a_folder(folder: str, other: str, place: str | None) -> None:
    assert path_within(folder, other) == place


def test_format_changes_the_suffix_only_where_it_must(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpeg", "in/b.png", "in/c.gif")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", "jpeg")
    assert placed(jobs, tmp_path) == {
        "in/a.jpeg": ("out/a.jpeg", "jpeg"),
        "in/b.png": ("out/b.jpg", "jpeg"),
        "in/c.gif": ("out/c.jpg", "jpeg"),
    }


def test_pictures_that_would_get_one_name_are_kept_apart(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.bmp", "in/a.png", "in/a.gif")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", None)
    assert {name: target for name, (target, _) in placed(jobs, tmp_path).items()} == {
        "in/a.bmp": "out/a.bmp.png",
        "in/a.gif": "out/a.gif.png",
        "in/a.png": "out/a.png",
    }


@pytest.mark.parametrize(
    ("inputs", "out", "expected"),
    [
        (["a.png"], "result.webp", Job(Path("a.png"), Path("result.webp"), "webp")),
        (["a.png"], "folder", Job(Path("a.png"), Path("folder/a.png"), "png")),
        (["-"], "-", Job(STREAM, STREAM, None)),
        (["-"], "result.jpg", Job(STREAM, Path("result.jpg"), "jpeg")),
        (["a.png"], "-", Job(Path("a.png"), STREAM, None)),
    ],
)
def test_single_pictures_and_streams(
    inputs: list[str], out: str, expected: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png")
    assert find_jobs([Path(name) for name in inputs], Path(out), None) == [expected]


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["gone.png"], "out", "no such file or folder: gone.png"),
        (["a.png"], "a.png", "a.png is the input"),
        (["in"], "in", "is an input"),
        (["a.png", "-"], "-", "can hold only one picture"),
        (["in"], "-", "can hold only one picture"),
        (["-"], "out", "unknown output format"),
        (["in/x.png", "other/x.png"], "out", "2 inputs would be written to out/x.png"),
        (["a.png"], "bright.heic", ".heic files cannot be written; use one of .jpg"),
        (["a.png"], "bright.jp2", ".jp2 files cannot be written"),
        (["in"], "bright.png", "bright.png is the name of a single picture"),
        (["pipe.png"], "out", "neither a file nor a folder"),
    ],
)
def test_what_does_not_go_together_is_said(
    inputs: list[str], out: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", "in/x.png", "other/x.png")
    os.mkfifo("pipe.png")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_jobs([Path(name) for name in inputs], Path(out), None)


def test_a_suffix_and_a_format_that_differ_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    for inputs in ([tmp_path / "a.png"], [STREAM]):
        with pytest.raises(ValueError, match=r"x\.png has the suffix of a png file, but --format asks for jpeg"):
            find_jobs(inputs, tmp_path / "x.png", "jpeg")
        assert find_jobs(inputs, tmp_path / "x.png", "png")[0].format == "png"


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    os.mkfifo(tmp_path / "in/b.png")
    left: list[Path] = []
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", None, left.append)
    assert [job.source.name for job in jobs] == ["a.png"]
    assert left == [tmp_path / "in/b.png"]


def test_folders_may_have_names_with_dots(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    (tmp_path / "old.png").mkdir()
    for name in ("results.v2", "old.png"):
        assert find_jobs([tmp_path / "in"], tmp_path / name, None)[0].target == tmp_path / name / "a.png"


def test_done_is_what_is_there_and_not_older(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/a.png")
    job = Job(tmp_path / "a.png", tmp_path / "out/a.png", "png")
    assert job.done
    os.utime(job.source, (2e9, 2e9))
    assert not job.done
    job.source.unlink()  # gone since it was found
    assert job.done
    job.target.unlink()
    assert not job.done
