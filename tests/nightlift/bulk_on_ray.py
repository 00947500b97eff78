"""`nightlift bulk` on a real local Ray. Run by `make test-ray`, which installs Ray; no part of `make test`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.nightlift.commands import environment, nightlift
from tests.pictures import constant, dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository


def test_a_folder_is_enhanced_by_several_workers_and_finished_by_the_next_run(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    source, target = tmp_path / "dark", tmp_path / "bright"
    for number in range(40):
        path = source / f"{number % 4}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(constant(10 + number, (32, 48))))
    (source / "photo.bmp").write_bytes(encoded(dark_scene(size=(64, 96)), "bmp"))
    (source / "broken.jpg").write_bytes(b"no picture")
    (source / "notes.txt").write_text("no picture either")
    words = ("bulk", source, target, "--protect", "0", "--no-gate", "--workers", "2", "--cpus", "0.5")

    outcome = nightlift(*words, repository=repository)
    assert outcome.returncode == 1, outcome.stderr.decode()
    assert b"41 enhanced, 0 already done, 1 failed" in outcome.stdout
    assert b"failed broken.jpg: " in outcome.stderr
    for number in range(40):
        result = decoded((target / f"{number % 4}" / f"{number:02}.png").read_bytes())
        assert result[0, 0, 0] == 2 * (10 + number)
    np.testing.assert_array_equal(decoded((target / "photo.png").read_bytes()), brightened(dark_scene(size=(64, 96))))

    (target / "0/00.png").unlink()
    (source / "broken.jpg").unlink()
    outcome = nightlift(*words, repository=repository)
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert b"1 enhanced, 40 already done, 0 failed" in outcome.stdout
    assert b"0 enhanced, 41 already done" in nightlift(*words, repository=repository).stdout
    assert not list(target.rglob(".*")), "temporary files are left"


def test_results_below_the_source_are_not_enhanced_again(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    source = tmp_path / "photos"
    (source / "brighter").mkdir(parents=True)
    for name in ("a.png", "brighter/b.png"):
        (source / name).write_bytes(encoded(constant(40)))
    words = ("bulk", source, source / "bright", "--protect", "0", "--no-gate", "--workers", "1")
    for said in (b"2 enhanced, 0 already done", b"0 enhanced, 2 already done"):
        outcome = nightlift(*words, repository=repository)
        assert outcome.returncode == 0, outcome.stderr.decode()
        assert said in outcome.stdout
    found = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png"))
    assert found == ["a.png", "bright/a.png", "bright/brighter/b.png", "brighter/b.png"]
    refused = nightlift("bulk", source, f"{source}/")
    assert refused.returncode == 2
    assert b"is the source; choose another folder" in refused.stderr


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    outcome = nightlift("bulk", tmp_path / "dark", tmp_path / "bright")
    assert outcome.returncode == 2
    assert b"no pictures found in" in outcome.stderr


FULL = """
import sys
from nightlift.bulk import BulkRequest, Worker
from tests.servers import limit_files

worker = Worker(BulkRequest(*sys.argv[1:]))
limit_files(20_000)
print(*worker({"name": ["large.png", "small.png"]})["failure"], sep="|")
"""


def test_the_disk_is_full(tmp_path: Path) -> None:
    """One worker, without Ray, whose own files may be large: results are there completely or not at all."""
    source, target = tmp_path / "dark", tmp_path / "bright"
    source.mkdir()
    (source / "small.png").write_bytes(encoded(constant(40)))
    (source / "large.png").write_bytes(encoded(dark_scene(size=(200, 300))))
    outcome = subprocess.run(
        [sys.executable, "-c", FULL, source, target],
        env=environment(make_repository(tmp_path / "models")),
        capture_output=True,
        text=True,
        timeout=120,
    )
    large, small = outcome.stdout.rstrip("\n").split("|")
    assert "File too large" in large, outcome.stderr
    assert not small
    assert [path.name for path in target.iterdir()] == ["small.png"]
