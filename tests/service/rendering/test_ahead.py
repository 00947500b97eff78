"""Kernels compiled ahead of time beside those that numba compiles at the first call: equal results, and no numba."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import RenderOptions, compile_ahead
from service.rendering._affine import AffineMap
from service.rendering._grade import grade
from service.rendering._kernels import shrink_rows
from service.rendering._noise import quiet
from service.rendering._pass import apply_map, blend
from service.rendering._shrink import shrink

ROOT = Path(__file__).resolve().parents[3]
IN_A_COPY = """
import sys
sys.modules["numba"] = sys.modules["llvmlite"] = None
import numpy, service.rendering
from tests.service.rendering.test_ahead import render_many
numpy.savez(sys.argv[1], *render_many())
print(service.rendering.__file__)
"""


def render_many() -> list[NDArray[Any]]:
    """What every kernel makes of 8 and 16 bits, opaque and not, one strip and many."""
    random = np.random.default_rng(0)
    numbers = grade(RenderOptions(gamma=1.3, strength=0.9, protect=0.5), gate=1.0)
    results = []
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535)):
        for height, width in ((37, 53), (701, 1203)):
            pixels = random.integers(0, white, (height, width, 3)).astype(dtype)
            for alpha in (None, random.integers(0, white, (height, width)).astype(dtype)):
                view = shrink(Picture(pixels, PictureFormat.PNG, alpha), (31, 40))
                results += [view.colour, view.weight]
            for terms in (2, 4, 5):
                affine, means = (
                    AffineMap(random.random((terms, 7, 9, 3), np.float32)),
                    random.random((14, 18, 3), np.float32),
                )
                results.append(apply_map(pixels, affine, numbers, means))
            results.append(quiet(pixels // 32, random.random((16, 24), np.float32)))
            if dtype == np.uint8:
                results.append(blend(pixels, 255 - pixels, numbers))
    return results


def test_the_library_gives_the_same_without_numba(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    compile_ahead(tmp_path / "service" / "rendering" / "libkernels.so")
    found = subprocess.run(
        [sys.executable, "-c", IN_A_COPY, tmp_path / "results.npz"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)
    with np.load(tmp_path / "results.npz") as results:
        ahead = [results[name] for name in results]
    expected = render_many()
    assert len(ahead) == len(expected)
    # The compilers fuse multiplications as their targets allow, so that a value just at a half may round either way.
    for one, other in zip(ahead, expected, strict=True):
        assert one.dtype == other.dtype
        difference = np.abs(one.astype(np.float64) - other)
        if one.dtype.kind == "u":
            assert difference.max() <= 1
            assert (difference > 0).mean() < 1e-4
        else:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_arrays_may_be_read_only_without_compiling_anew() -> None:
    pixels = np.arange(96 * 64 * 3, dtype=np.uint8).reshape(96, 64, 3) // 4
    expected = shrink(Picture(pixels, PictureFormat.BMP), (5, 7)).colour
    variants = list(shrink_rows.variants)
    pixels.flags.writeable = False
    np.testing.assert_array_equal(shrink(Picture(pixels, PictureFormat.BMP), (5, 7)).colour, expected)
    assert list(shrink_rows.variants) == variants


def test_an_argument_of_another_type_or_layout_is_refused() -> None:
    pixels = np.zeros((4, 12), np.uint8)
    with pytest.raises(AssertionError):
        shrink_rows(pixels[:, ::2])
