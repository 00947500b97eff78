"""The options have one range and one default, whoever shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightlift._commands._flags import Rendering
from nightlift.client import Options
from service.enhancement import EnhanceOptions
from service.limits import GAMMA_RANGE, SHARE_RANGE
from service.rendering import RenderOptions

PAGE = (Path(__file__).resolve().parents[2] / "service/page/static/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "allowed", "percent"),
    [
        ("strength", SHARE_RANGE, 100),
        ("protect", SHARE_RANGE, 100),
        ("gamma", GAMMA_RANGE, 1),
        ("quality", (1, 100), 1),
    ],
)
def test_sliders_of_the_page(option: str, allowed: tuple[float, float], percent: float) -> None:
    (slider,) = re.findall(rf'<input id="{option}" [^>]*>', PAGE)
    shown = {name: float(value) / percent for name, value in re.findall(r'(min|max|value)="([0-9.]+)"', slider)}
    assert (shown["min"], shown["max"]) == allowed
    assert shown["value"] == EnhanceOptions.model_fields[option].default


def test_the_client_and_the_command_line_have_the_options_of_the_service() -> None:
    assert Options.__annotations__.keys() == EnhanceOptions.model_fields.keys()
    flags = Rendering()
    for name in ("strength", "protect", "gate", "gamma", "exposure", "shadows", "quality", "detail", "metadata"):
        assert getattr(flags, name) == EnhanceOptions.model_fields[name].default
    for name in ("strength", "protect", "gate", "gamma", "exposure", "shadows", "detail"):
        assert getattr(RenderOptions(), name) == EnhanceOptions.model_fields[name].default
