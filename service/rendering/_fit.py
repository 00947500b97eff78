"""The loops of the fit of a local affine map, compiled; `_affine` says what they compute and why.

NumPy needs thirty passes for the same, most with a fresh array: 2.5 ms and 2,700 page faults for a proxy of 256x168,
where these take 0.7 ms. As in `_kernels`, rows are flat and interleaved, [W * 3], and callers bring the memory.
"""

from __future__ import annotations

import numpy as np

from service.rendering._machine_code import Kernel, inlined

RADIUS = 2
"""Windows of the fit are 5 x 5 pixels of the proxy."""

RELATIVE_EPSILON = np.float32(1e-3)
"""Variance below this share of the squared mean counts as flat."""

ABSOLUTE_EPSILON = np.float32(1e-6)
"""Keeps black places defined: there variance and mean are zero."""

OVERSHOOT = np.float32(0.5 / 255)
"""How far the map of one place may lie above that of its neighbour, in the neighbour's colour: half a code."""

RESOLVED = np.float32(0.5 / 255)
"""Smallest difference between neighbours, code values, that says anything about a slope: proxies are rounded."""

EDGE = np.float32(4.5 / 255)
"""Difference between neighbours, code values, from which there is an edge between them and no ramp."""

MARGIN = 3 * RADIUS
"""Values beside a row, at each end, into which it is reflected."""

SHARE = np.float32(1 / (2 * RADIUS + 1) ** 2)
"""Of a pixel in the mean of its window."""

ZERO, ONE, FAR = np.float32(0.0), np.float32(1.0), np.float32(np.inf)


@inlined
def reflected(place, length):  # type: ignore[no-untyped-def]
    """A place up to `RADIUS` beyond an axis, mirrored back into it: the outermost pixel counts twice."""
    if place < 0:
        place = -1 - place
    if place >= length:
        place = 2 * length - 1 - place
    return min(max(place, 0), length - 1)


@inlined
def mean_along(sums, result):  # type: ignore[no-untyped-def]
    """Means of windows from sums of their columns.

    Args:
        sums: float32 [MARGIN + 3 * W + MARGIN], whose margins are filled here.
        result: float32 [3 * W], written.
    """
    values = result.size
    for pixel in range(1, RADIUS + 1):
        left, right = reflected(-pixel, values // 3), reflected(values // 3 - 1 + pixel, values // 3)
        for channel in range(3):
            sums[MARGIN - 3 * pixel + channel] = sums[MARGIN + 3 * left + channel]
            sums[MARGIN + values + 3 * (pixel - 1) + channel] = sums[MARGIN + 3 * right + channel]
    for j in range(values):
        result[j] = SHARE * (sums[j] + sums[j + 3] + sums[j + 6] + sums[j + 9] + sums[j + 12])


@Kernel
def fit_rows(source, target, first, last, scratch, slope, offset):  # type: ignore[no-untyped-def]
    """Fit slope and offset in the window around each pixel, for rows [first, last).

    Args:
        source, target: float32 [H, 3 * W], code values from 0 to 1; the target is clipped to that.
        first, last: rows to compute.
        scratch: float32 [8, MARGIN + 3 * W + MARGIN].
        slope, offset: float32 [H, 3 * W], written.
    """
    height, values = source.shape
    sums, means = scratch[:4], scratch[4:]
    for y in range(first, last):
        sums[:] = ZERO
        for step in range(-RADIUS, RADIUS + 1):
            near = reflected(y + step, height)
            for j in range(values):
                x, goal = source[near, j], min(max(ZERO, target[near, j]), ONE)
                sums[0, MARGIN + j] += x
                sums[1, MARGIN + j] += goal
                sums[2, MARGIN + j] += x * x
                sums[3, MARGIN + j] += x * goal
        for moment in range(4):
            mean_along(sums[moment], means[moment, :values])
        for j in range(values):
            mean, goal = means[0, j], means[1, j]
            variance = max(ZERO, means[2, j] - mean * mean)
            covariance = means[3, j] - mean * goal
            steep = covariance / (variance + RELATIVE_EPSILON * mean * mean + ABSOLUTE_EPSILON)
            slope[y, j] = steep
            offset[y, j] = goal - steep * mean


@Kernel
def smooth_rows(source, slope, offset, first, last, scratch, smooth, value):  # type: ignore[no-untyped-def]
    """Average slopes and offsets over the same windows, for rows [first, last).

    Args:
        source, slope, offset: float32 [H, 3 * W].
        first, last: rows to compute.
        scratch: float32 [2, MARGIN + 3 * W + MARGIN].
        smooth: float32 [H, 3 * W], written: the mean slope.
        value: float32 [H, 3 * W], written: what the mean map makes of the source.
    """
    height, values = source.shape
    for y in range(first, last):
        scratch[:] = ZERO
        for step in range(-RADIUS, RADIUS + 1):
            near = reflected(y + step, height)
            for j in range(values):
                scratch[0, MARGIN + j] += slope[near, j]
                scratch[1, MARGIN + j] += offset[near, j]
        mean_along(scratch[0], smooth[y])
        mean_along(scratch[1], value[y])
        for j in range(values):
            value[y, j] += smooth[y, j] * source[y, j]


@inlined
def limit_towards(source, value, there, their_value, limit, largest):  # type: ignore[no-untyped-def]
    """Lower limits of slopes to those of the lines to neighbours' results; all float32 [n].

    Args:
        source, value: of the pixels.
        there, their_value: of their neighbours.
        limit: largest slope allowed, changed in place.
        largest: largest difference to a neighbour, changed in place.
    """
    for j in range(source.size):
        run, rise = there[j] - source[j], their_value[j] - value[j]
        length = abs(run)
        rise = (rise if run > ZERO else -rise) + OVERSHOOT
        limit[j] = min(limit[j], rise / length if length > RESOLVED else FAR)
        largest[j] = max(largest[j], length)


@Kernel
def limit_rows(source, slope, value, first, last, scratch, terms):  # type: ignore[no-untyped-def]
    """Make slopes flat enough that no map leads past its neighbours' results, for rows [first, last).

    Near black a strong curve rises by a hundred codes from one code to the next, and much less after that. Between a
    steep map and the flatter one beside it, pixels of one colour would get darker on the way: a slow ramp came out
    as a saw, by up to 14 codes. So the slope is at most that of the line to each neighbour's result: the limiter by
    which difference schemes stay monotone (van Leer, "Towards the Ultimate Conservative Difference Scheme II", 1974),
    but for half a code, without which noise would be taken for ramps. Beside edges slopes stay, for there the steep
    map is what keeps the dark side dark. On LOL's eval15 all scores rise a little: by 0.004 to 0.011 dB and .002 to
    .004 of SSIM.

    Args:
        source, slope, value: float32 [H, 3 * W].
        first, last: rows to compute.
        scratch: float32 [2, 3 * W].
        terms: float32 [2, H, 3 * W], written: slopes and offsets; each map keeps its value at its own place.
    """
    height, values = source.shape
    limit, largest = scratch[0], scratch[1]
    for y in range(first, last):
        limit[:] = FAR
        largest[:] = ZERO
        here, mine = source[y], value[y]
        for near in (max(y - 1, 0), min(y + 1, height - 1)):
            limit_towards(here, mine, source[near], value[near], limit, largest)
        limit_towards(here[3:], mine[3:], here[:-3], mine[:-3], limit[3:], largest[3:])
        limit_towards(here[:-3], mine[:-3], here[3:], mine[3:], limit[:-3], largest[:-3])
        for j in range(values):
            steep = slope[y, j]
            if largest[j] <= EDGE:
                steep = min(steep, max(limit[j], ZERO))
            terms[0, y, j] = steep
            terms[1, y, j] = mine[j] - steep * here[j]
