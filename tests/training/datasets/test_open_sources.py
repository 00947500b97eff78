"""The list of free pictures, and gathering them out of packages that are made here."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.open_pictures import resource, source
from tests.pictures import encoded, scene
from training import load_recipe
from training.datasets import layout_names
from training.datasets.attribution import attribution
from training.datasets.gather import gather
from training.datasets.open_photos import scene_of
from training.datasets.open_sources import LIST, gathered, read_sources

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")

FREE = {
    "CC0-1.0",
    "LicenseRef-public-domain",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
}
COPYLEFT = {"GPL-2.0-or-later", "LGPL-2.1-or-later", "CC-BY-SA-3.0", "CC-BY-SA-4.0"}


def deb(tmp_path: Path, files: dict[str, bytes]) -> Path:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: sunsets\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: photos\n"
    )
    for name, body in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(body)
    package = tmp_path / "sunsets.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, package], check=True, capture_output=True)
    return package


def test_every_source_has_a_known_licence_and_says_whether_it_is_copyleft() -> None:
    sources = read_sources()
    assert len(sources) > 200
    for row in sources:
        assert row.licence in (COPYLEFT if row.copyleft else FREE), row.file
        assert row.is_map == (row.exposure == "linear"), row.file


def test_a_list_with_a_picture_twice_is_refused(tmp_path: Path) -> None:
    lines = LIST.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "twice.csv").write_text("".join([*lines[:3], lines[2]]), encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        read_sources(tmp_path / "twice.csv")


@pytest.mark.parametrize("wrong", [{"sha256": "abc"}, {"licence": ""}, {"copyleft": "perhaps"}, {"file": "../x.jpg"}])
def test_a_wrong_line_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        source("a.jpg", b"a", **wrong)


@needs_dpkg
def test_files_come_out_of_a_package_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    photo, inside = encoded(scene(size=(32, 48))), b"webp" * 9
    package = deb(
        tmp_path,
        {
            "usr/share/a.png": photo,
            "usr/share/b.png": b"changed",
            "usr/share/r.rcc": resource({"i.webp": (inside, 4)}),
        },
    )
    rows = [
        source("a.png", photo),
        source("b.png", b"as it was"),
        source("c.png", b"gone"),
        source("i.webp", inside, path="usr/share/r.rcc::/d/i.webp"),
    ]
    problems = gather(tmp_path / "open", rows, {"sunsets": package})
    assert len(problems) == 2
    assert problems[0].startswith("b.png: differs from the file in version 1.0")
    assert "c.png: sunsets has no usr/share/c.png" in problems[1]
    found = gathered(tmp_path / "open", tuple(rows))
    assert {row.file: path.read_bytes() for row, path in found.items()} == {"a.png": photo, "i.webp": inside}
    package.unlink()  # what is there is not brought again
    assert gather(tmp_path / "open", [rows[0], rows[3]], {"sunsets": package}) == []


def test_maps_come_out_of_an_npm_archive(tmp_path: Path) -> None:
    body = b"export default 'data:application/exr;base64,AAAA'"
    with tarfile.open(tmp_path / "maps.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/hdri/hall.exr.js")
        entry.size = len(body)
        archive.addfile(entry, io.BytesIO(body))
    row = source("hall.exr.js", body, source="npm", package="maps", path="package/hdri/hall.exr.js")
    assert gather(tmp_path / "open", [row], {"maps": tmp_path / "maps.tgz"}) == []
    assert list(gathered(tmp_path / "open", (row,))) == [row]


def test_a_damaged_package_leaves_its_files_out(tmp_path: Path) -> None:
    (tmp_path / "maps.tgz").write_bytes(b"no archive")
    row = source("hall.exr.js", b"x", source="npm", package="maps")
    (problem,) = gather(tmp_path / "open", [row], {"maps": tmp_path / "maps.tgz"})
    assert problem.startswith("1 files of maps.tgz cannot be unpacked")


@pytest.mark.parametrize(("name", "message"), [("a.png", "differs from its digest"), ("z.png", "not on the list")])
def test_what_the_list_does_not_know_is_not_trained_on(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals" / name).write_bytes(b"unknown")
    with pytest.raises(ValueError, match=message):
        gathered(tmp_path, (source("a.png", b"known"),))


def test_the_recipe_reads_nothing_but_listed_pictures() -> None:
    recipe = load_recipe("nightlift_open")
    free = {name for name in layout_names() if name.startswith("open_")} | {"environment"}
    assert {stream.layout for stream in recipe.data.values()} <= free
    assert {held.layout or recipe.data[held.data].layout for held in recipe.validation_sets().values()} <= free
    assert recipe.starts_from is None


def test_attribution_names_every_author() -> None:
    rows = [source("a.jpg", b"a"), source("b.jpg", b"b", author="B. Somebody", licence="CC-BY-4.0", note="cropped")]
    text = attribution(rows)
    assert "CC0-1.0: sunsets (debian), 1 files\n  usr/share/a.jpg\n    by A. Nobody; https://example.org\n" in text
    assert "by B. Somebody; https://example.org; cropped\n" in text
    everything = attribution(read_sources())
    assert all(row.author in everything and row.path in everything for row in read_sources())


def test_shots_of_one_scene_go_together() -> None:
    assert scene_of(source("k__bar55_2.jpg", b"x")) == scene_of(source("k__bar55.jpg", b"y")) == "k__bar"
    assert scene_of(source("p__night.exr.js", b"x")) == "p__night"
