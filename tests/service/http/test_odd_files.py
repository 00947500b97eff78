"""Every odd file gets what docs/odd_files.md says, whatever lies before it and behind it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from tests.odd_files import CASES, Case
from tests.pictures import dark_scene, encoded
from tests.service.http.test_enhance import NEUTRAL, problem

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "odd_files.md"
LOSSY = 8 / 255
"""How far a JPEG may be off the picture that it was made of; the model doubles that."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_row_of_the_table(client: httpx.Client, case: Case) -> None:
    headers = {"Content-Type": case.content_type} if case.content_type else {}
    response = client.post("/enhance", params={**NEUTRAL, "version": 1}, content=case.make(), headers=headers)
    if case.status != 200:
        problem(response, case.status, case.kind)
        return
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"image/{case.kind}"
    with Image.open(io.BytesIO(response.content)) as answer:
        assert case.mode in (None, answer.mode)
        assert answer.getexif().get(0x0112, 1) == 1
        assert getattr(answer, "n_frames", 1) == 1
    if case.expected is not None:
        check_pixels(response.content, case.expected())


def check_pixels(file: bytes, before: np.ndarray) -> None:
    """The answer is the picture times two, clipped: what the model makes of it."""
    after = cv2.cvtColor(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB)
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    white = np.iinfo(before.dtype).max
    difference = np.abs(after.astype(int) - np.minimum(2 * before.astype(int), white)) / white
    assert np.percentile(difference, 99) <= 2 * LOSSY
    if before.dtype == np.uint16:
        assert len(np.unique(after)) > 1000, "the levels between those of 8 bits are gone"


def test_a_sound_photo_is_served_after_all_of_them(client: httpx.Client) -> None:
    for case in CASES:
        client.post("/enhance", content=case.make())
    assert client.post("/enhance", content=encoded(dark_scene(size=(48, 64)))).status_code == 200


def test_the_document_has_these_rows_and_no_others() -> None:
    rows = re.findall(r"^\| (?!file |---).*\|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [case.row for case in CASES]
