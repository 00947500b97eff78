"""The kernels in C: every level gives the same, on odd sizes too, and none reads or writes where it must not."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import RenderOptions, _native
from service.rendering._affine import AffineMap, fit_affine
from service.rendering._grade import grade, with_shadows
from service.rendering._noise import noise_free_mask
from service.rendering._pass import apply_map, blend
from service.rendering._shrink import mean_light, shrink
from service.rendering._strips import PIXELS_PER_THREAD

ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "service" / "rendering" / "native"
SIZES = ((1, 1), (3, 3), (37, 53), (129, 127), (5, 700), (641, 5), (401, 1203))
OPTIONS = (
    RenderOptions(strength=0.9),
    RenderOptions(gamma=1.3),
    RenderOptions(strength=0.9, exposure=1.5),
    RenderOptions(gamma=1.3, exposure=-1, shadows=0.8),
    RenderOptions(shadows=-1),
)
IN_A_COPY = "import tests.service.rendering.test_native as test; print(test._native.LIBRARY, len(test.render_many()))"


def render_many() -> list[NDArray[Any]]:
    """What every kernel makes of 8 and 16 bits, opaque and not, with all kinds of maps, in one thread and more."""
    random = np.random.default_rng(0)
    results = []
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535)):
        for height, width in SIZES:
            pixels = random.integers(0, white, (height, width, 3)).astype(dtype)
            for alpha in (None, random.integers(0, white, (height, width)).astype(dtype)):
                for shape in ((1, 1), (min(3, height), min(2, width)), (min(31, height), min(40, width))):
                    view = shrink(Picture(pixels, PictureFormat.PNG, alpha), shape)
                    results += [view.colour, view.weight, np.array(mean_light(view.colour, view.weight, 0.1, 0.3))]
            for options in OPTIONS:
                picture = Picture(pixels, PictureFormat.PNG)
                grading = grade(options, 0.9, picture)
                for shape in ((1, 1), (2, 3), (40, 64)):
                    source, enhanced = random.random((2, *shape, 3), np.float32)
                    grading = with_shadows(grading, options, picture, partial(tuple, (source, enhanced)))
                    if dtype == np.uint8:
                        results.append(blend(pixels, 255 - pixels, grading).make_all())
                for terms in (2, 4, 5, *([6] if min(height, width) >= 3 else [])):
                    for rows, columns in ((1, 1), (1, 3), (7, 9), (40, 64)):
                        affine = AffineMap(random.random((terms, rows, columns, 3), np.float32))
                        means = random.random((14, 18, 3), np.float32)
                        results.append(apply_map(pixels, affine, grading, means).make_all())
            if min(height, width) >= 3:
                results.append(noise_free_mask(pixels // 32, random.random((16, 24), np.float32)))
                results.append(noise_free_mask(pixels // 32, random.random((3, 3), np.float32)))
            source = (pixels / white).astype(np.float32)
            slope, offset = fit_affine(source, np.sqrt(source)).terms
            results.append(slope * source + offset)
    assert max(height * width for height, width in SIZES) > 2 * PIXELS_PER_THREAD
    return results


def test_there_is_more_than_one_level_to_choose_from_on_x86() -> None:
    levels = _native.levels()
    assert levels[-1] == _native.LEVEL
    assert levels == [1] if os.uname().machine == "aarch64" else levels[0] == 2


def test_all_levels_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = render_many()
    for level in _native.levels()[:-1]:
        monkeypatch.setattr(_native, "LEVEL", level)
        results = render_many()
        assert len(results) == len(expected)
        # Multiplications are fused as a level allows, so that a value just at a half may round either way.
        for one, other in zip(results, expected, strict=True):
            assert one.dtype == other.dtype
            difference = np.abs(one.astype(np.float64) - other)
            if one.dtype == np.uint8:
                assert difference.max() <= 1
                assert (difference > 0).mean() < 1e-3
            elif one.dtype == np.uint16:
                assert difference.max() <= 4  # exposure's table rises by so much from one entry to the next
            else:
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_every_kernel_is_there_at_every_level_with_the_parameters_of_its_source() -> None:
    source = "".join(path.read_text() for path in sorted(NATIVE.glob("*.c")))
    declared = dict(part.split(")", 1) for part in source.split("KERNEL(")[1:])
    counts = {name: rest[: rest.index(")")].count(",") + 1 for name, rest in declared.items()}
    assert counts == {name: len(parameters) for name, parameters in _native.PARAMETERS.items()}
    for level in _native.levels():
        for name in counts:
            assert _native.kernel(name, level)


def test_arrays_may_be_read_only() -> None:
    pixels = np.arange(96 * 64 * 3, dtype=np.uint8).reshape(96, 64, 3) // 4
    expected = shrink(Picture(pixels, PictureFormat.BMP), (5, 7)).colour
    pixels.flags.writeable = False
    np.testing.assert_array_equal(shrink(Picture(pixels, PictureFormat.BMP), (5, 7)).colour, expected)


@pytest.mark.parametrize("colour", [np.zeros((4, 3)), np.zeros((4, 6), np.float32)[:, ::2], np.zeros(4), None, [0.0]])
def test_an_argument_of_another_type_or_layout_is_refused(colour: Any) -> None:
    with pytest.raises(ctypes.ArgumentError, match="C-contiguous arrays of float32"):
        _native.kernel("add_light", _native.LEVEL)(colour, np.zeros(4, np.float32), 4, 0.1, 0.3, np.zeros(3))


def test_the_serving_environment_has_no_compiler_to_load() -> None:
    code = "import sys, service.server; print(sorted({'numba', 'llvmlite', 'ziglang'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """The same sources by another compiler, which watches every access and every undefined step."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc for the sanitizers")
    shutil.copytree(ROOT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    library = tmp_path / "service" / "rendering" / "libkernels.so"
    level = 1 if os.uname().machine == "aarch64" else 2
    options = ["-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined", f"-DLEVEL=v{level}"]
    checks = ["-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *options, *checks, *sorted(NATIVE.glob("*.c")), "-o", library], check=True)
    preload = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    found = subprocess.run(
        [sys.executable, "-c", IN_A_COPY],
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}:{ROOT}",
            "LD_PRELOAD": " ".join(preload),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
            "PYTHONMALLOC": "malloc",  # so that every array has fences
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.startswith(str(library))
