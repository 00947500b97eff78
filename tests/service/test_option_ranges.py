"""The options have one range and one default, whoever shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightlift._commands._flags import Rendering
from nightlift.client import Options
from service.enhancement import EnhanceOptions
from service.limits import EXPOSURE_RANGE, GAMMA_RANGE, SHADOWS_RANGE, SHARE_RANGE
from service.pictures import SUFFIXES, may_be_raw
from service.pictures._codecs._raw_kinds import _SIGNATURES, _TIFF
from service.rendering import RenderOptions

PAGE = Path(__file__).resolve().parents[2] / "service/page/static"
SLIDERS = (PAGE / "scripts/settings.js").read_text(encoding="utf-8") + (PAGE / "index.html").read_text(
    encoding="utf-8"
)


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("strength", SHARE_RANGE),
        ("protect", SHARE_RANGE),
        ("exposure", EXPOSURE_RANGE),
        ("shadows", SHADOWS_RANGE),
        ("gamma", GAMMA_RANGE),
        ("quality", (1, 100)),
    ],
)
def test_sliders_of_the_page(option: str, allowed: tuple[float, float]) -> None:
    (common,) = re.findall(r"const SHARE = ({.*});", SLIDERS)
    (slider,) = re.findall(rf'{{ name: "{option}",.*}}|<input id="{option}" [^>]*>', SLIDERS)
    slider = slider.replace("...SHARE", common)
    shown = {name: float(value) for name, value in re.findall(r'(min|max|value|scale)(?:: |=")(-?[0-9.]+)', slider)}
    scale = shown.pop("scale", 1)
    assert (shown["min"] / scale, shown["max"] / scale) == allowed
    assert shown["value"] / scale == EnhanceOptions.model_fields[option].default


def test_the_client_and_the_command_line_have_the_options_of_the_service() -> None:
    assert Options.__annotations__.keys() == EnhanceOptions.model_fields.keys()
    flags = Rendering()
    for name in (
        "strength",
        "protect",
        "gate",
        "gamma",
        "exposure",
        "shadows",
        "denoise",
        "quality",
        "detail",
        "metadata",
    ):
        assert getattr(flags, name) == EnhanceOptions.model_fields[name].default
    for name in ("strength", "protect", "gate", "gamma", "exposure", "shadows", "detail"):
        assert getattr(RenderOptions(), name) == EnhanceOptions.model_fields[name].default


def test_the_page_adds_the_files_that_the_service_reads() -> None:
    (endings,) = re.findall(
        r"const ENDINGS = \[(.*?)^\];",
        (PAGE / "scripts/intake.js").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert {f".{ending}" for ending in re.findall(r'"(\w+)"', endings)} == SUFFIXES.keys()


def test_the_page_takes_for_raw_what_the_service_does() -> None:
    (marks,) = re.findall(r"const RAW = (\[.*\]);", (PAGE / "scripts/inspect.js").read_text(encoding="utf-8"))
    told = re.findall(r'"([^"]*)"', marks)
    for mark in (one.replace("\\0", "\0").encode() for one in told):
        assert may_be_raw(mark.ljust(16, b"\1"))
    assert len(told) == len({*_SIGNATURES, *_TIFF})
