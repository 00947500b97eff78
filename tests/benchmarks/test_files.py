"""The comparison of a folder of files: what is the same is counted, what differs or is refused is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import httpx
import numpy as np
import pytest

from benchmarks import files
from benchmarks._shown import by_pillow
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import serving
from tests.service.pictures.files import alpha_pixels, color_pixels, exif_block, pillow_file, png_file


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "files"
    (folder / "below").mkdir(parents=True)
    photo = pillow_file(color_pixels(), "JPEG", exif=exif_block(6), dpi=(300, 300))
    (folder / "photo.jpg").write_bytes(photo)
    (folder / "below/alpha.png").write_bytes(pillow_file(np.dstack((color_pixels(), alpha_pixels())), "PNG"))
    (folder / "deep.png").write_bytes(png_file(color_pixels(16), 2))
    (folder / "small.png").write_bytes(encoded(dark_scene(size=(8, 8))))
    (folder / "text.txt").write_text("no picture")
    with serving(make_repository(tmp_path / "models"), tmp_path / "log", default_model="brighten") as server:
        assert files.main([str(folder), "--server", server.url]) == 0
    printed = capsys.readouterr().out
    assert "| small.png | 422 " in printed
    for line in ("3: the same", "1: refused, and others show it", "1: refused, and nobody shows it"):
        assert f"- {line}" in printed


def test_what_an_answer_lacks_is_named() -> None:
    full = by_pillow(
        pillow_file(np.dstack((color_pixels(), alpha_pixels())), "PNG", exif=exif_block(), dpi=(300, 300))
    )
    assert full is not None
    assert files._differences(full, full, full, "image/png")[0] == []
    lacking = dataclasses.replace(full, alpha=None, exif=False, density=None, rgb=full.rgb / 2)
    found, _ = files._differences(dataclasses.replace(full, bits=16), lacking, lacking, "image/png")
    assert [part.split(" by ")[0] for part in found] == [
        "colours",
        "alpha lost",
        "8 of 16 bits",
        "exif lost",
        "print resolution lost",
    ]
    turned = dataclasses.replace(full, rgb=full.rgb.transpose(1, 0, 2))
    assert files._differences(full, turned, turned, "image/png")[0] == ["size 48x72"]


def test_no_answer_is_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pillow_file(color_pixels(), "JPEG"))
    with httpx.Client(base_url="http://127.0.0.1:9") as client:
        row = files.compare(client, tmp_path / "photo.jpg", "photo.jpg")
    assert row.status.startswith("no answer")
