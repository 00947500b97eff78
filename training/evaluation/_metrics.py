"""Full-reference scores, in the conventions under which published LOL figures can be reproduced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from service.contract import BT601

Floats = NDArray[np.floating]

LUMINANCE = np.array(BT601)


def psnr(result: Floats, reference: Floats) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, in dB; infinite for equal pictures.

    Args:
        result: [H, W, 3] in [0, 1].
        reference: same shape and range.
    """
    error = float(np.mean((np.asarray(result, np.float64) - reference) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(result: Floats, reference: Floats) -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004), the mean over channels, in [-1, 1].

    Gaussian window 11x11 with sigma 1.5, population covariances, the border of 5 pixels left out: as in
    Retinexformer's and DED-Net's evaluation.

    Args:
        result: [H, W, 3] in [0, 1], sides at least 11.
        reference: same shape and range.
    """
    return float(
        structural_similarity(
            np.asarray(result, np.float64),
            np.asarray(reference, np.float64),
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def match_mean(result: Floats, reference: Floats) -> Floats:
    """The result scaled to the reference's mean brightness and clipped, for scores 'with GT-mean'.

    It needs the reference, so no service can do it: it removes overall brightness from a comparison. Brightness is
    BT.601 luma of RGB. (Retinexformer's script applies OpenCV's BGR weights to RGB pictures, which changes a mean
    PSNR by up to 0.2 dB.)

    Args:
        result: [H, W, 3] in [0, 1].
        reference: same shape and range.
    """
    brightness = float((result @ LUMINANCE).mean())
    if brightness == 0:
        return result
    return np.clip(result * (float((reference @ LUMINANCE).mean()) / brightness), 0, 1)
