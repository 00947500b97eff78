"""Masks of subjects in photographs, by classical methods without a trained network, for relighting along contours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 240
"""Long side in pixels at which masks are found."""

SHARE = (0.08, 0.75)
"""Least and largest share of the picture that a mask takes."""

SUPERPIXELS = 40


def find_masks(view: Pixels, random: np.random.Generator) -> dict[str, Pixels]:
    """Masks of a photograph by method; implausible ones are left out.

    Args:
        view: uint8 [H, W, 3].
        random: decides which superpixels go together.

    Returns:
        uint8 [H, W] each, 255 on the foreground: `sky` (all but the sky), `subject` (what differs from the borders of
        the picture), `regions` (superpixels on one side of a line).
    """
    height, width = view.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = {"sky": _before_sky(small), "subject": _subject(small), "regions": _regions(small, random)}
    least, most = SHARE
    return {
        name: np.asarray(
            cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
        )
        for name, mask in found.items()
        if mask is not None and least <= mask.mean() <= most
    }


def _before_sky(view: Pixels) -> Mask | None:
    """All but the sky, which touches the upper border, is smooth, and blue or bright; None if there is little sky."""
    light = cv2.cvtColor(view, cv2.COLOR_RGB2LAB).astype(np.float32)
    grey = cv2.GaussianBlur(light[..., 0], (0, 0), 1)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    blue = light[..., 2] < 122  # 128 is neutral
    bright = grey > max(150.0, float(np.quantile(grey, 0.6)))
    likely = ((steep < 40) & (blue | bright)).astype(np.uint8)
    opened = cv2.morphologyEx(likely, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(opened)
    width = view.shape[1]
    sky = np.zeros(likely.shape, bool)
    for label in range(1, count):
        if (labels[0] == label).sum() > 0.1 * width:
            sky |= labels == label
    sky = cv2.morphologyEx(sky.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0
    rows = np.flatnonzero(sky.any(axis=1))
    if not len(rows) or sky[-view.shape[0] // 10 :].mean() > 0.2:
        return None  # a backdrop that goes all around is no sky
    _, labels = cv2.connectedComponents((~sky).astype(np.uint8))
    # What stands on the ground; the rest are clouds.
    return np.asarray(~sky & np.isin(labels, np.unique(labels[-1])))


def _subject(view: Pixels) -> Mask | None:
    """What differs from the borders (GrabCut: Rother et al., 2004); None if it includes the borders."""
    height, width = view.shape[:2]
    margin = max(2, round(0.06 * min(height, width)))
    mask = np.zeros((height, width), np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    box = (margin, margin, width - 2 * margin, height - 2 * margin)
    cv2.setRNGSeed(0)  # k-means begins at random
    try:
        cv2.grabCut(cv2.cvtColor(view, cv2.COLOR_RGB2BGR), mask, box, *models, 3, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        return None  # a picture of one colour has nothing to tell apart
    subject = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    subject = cv2.morphologyEx(subject, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(subject)
    if count < 2:
        return None
    kept = labels == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    edge = np.zeros_like(kept)
    edge[margin + 1] = edge[:, margin + 1] = edge[:, -margin - 2] = True
    return kept if (kept & edge).sum() < 0.35 * edge.sum() else None


def _regions(view: Pixels, random: np.random.Generator) -> Mask:
    """Superpixels (SLIC: Achanta et al., 2012) whose middles lie on one side of a random line."""
    labels = slic(view, n_segments=SUPERPIXELS, compactness=8, start_label=0, channel_axis=2)
    height, width = labels.shape
    down, across = np.mgrid[0:height, 0:width]
    sizes = np.maximum(np.bincount(labels.ravel()), 1)
    middles = [
        np.bincount(labels.ravel(), part.ravel() / side) / sizes for part, side in ((down, height), (across, width))
    ]
    angle = random.uniform(0, 2 * np.pi)
    place = np.cos(angle) * (middles[0] - 0.5) + np.sin(angle) * (middles[1] - 0.5)
    return np.asarray((place > random.uniform(-0.2, 0.2))[labels])
