"""What other languages have to repeat is what the contract says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from service.contract import BT601, BT709

SERVICE = Path(__file__).resolve().parents[2] / "service"
NUMBER = r"(\d\.\d+)f?"


def numbers(file: str, pattern: str) -> tuple[float, ...]:
    """The numbers in what matches once."""
    (match,) = re.findall(pattern, (SERVICE / file).read_text(encoding="utf-8"))
    return tuple(float(number) for number in match)


def test_luminance_has_the_same_weights_in_c_and_in_the_browser() -> None:
    native = "rendering/native"
    three = rf"{NUMBER}, {NUMBER}, {NUMBER}"
    assert numbers(f"{native}/suit.c", rf"LUMINANCE\[3\] = {{{three}}}") == BT601
    defined = r"\s+".join(rf"#define {name} {NUMBER}" for name in ("RED", "GREEN", "BLUE"))
    assert numbers(f"{native}/kernels.h", defined) == BT709
    assert numbers("page/static/scripts/grading.js", rf"LUMINANCE = \[{three}\]") == BT709


def test_rendering_and_training_load_no_transport() -> None:
    code = "import sys, service.rendering, training.networks; print([name for name in sys.modules if 'grpc' in name])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SERVICE.parent
    )
    assert loaded.stdout.strip() == "[]"
