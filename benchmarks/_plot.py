"""Line charts side by side as a small SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, MARGIN = 360, 260, 48
COLOURS = ("#c2410c", "#1d4ed8", "#15803d", "#7c3aed")

Curve = Sequence[tuple[float, float]]


def plot(panels: Mapping[str, Mapping[str, Curve]], across: str) -> str:
    """An SVG with one chart per panel, from left to right.

    Args:
        panels: title -> name of a curve -> its points (x, y). Distinct values of x are spaced evenly.
        across: label of the x axis.
    """
    body = "\n".join(
        f'  <g transform="translate({number * WIDTH},0)">\n{_panel(title, curves, across)}\n  </g>'
        for number, (title, curves) in enumerate(panels.items())
    )
    width = WIDTH * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#52586a">\n  <rect width="{width}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(title: str, curves: Mapping[str, Curve], across: str) -> str:
    places = sorted({x for curve in curves.values() for x, _ in curve})
    top = max(y for curve in curves.values() for _, y in curve) * 1.1
    step = (WIDTH - 2 * MARGIN) / max(1, len(places) - 1)

    def place(x: float, y: float) -> str:
        return f"{MARGIN + step * places.index(x):.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * y / top:.1f}"

    floor = HEIGHT - MARGIN
    parts = [
        f'<text x="{MARGIN}" y="20">{title}</text>',
        f'<line x1="{MARGIN}" y1="{floor}" x2="{WIDTH - MARGIN}" y2="{floor}" stroke="#9aa3b8"/>',
        f'<text x="{MARGIN - 6}" y="{MARGIN + 4}" text-anchor="end">{top:.3g}</text>',
        f'<text x="{MARGIN - 6}" y="{floor}" text-anchor="end">0</text>',
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{across}</text>',
        *(
            f'<text x="{MARGIN + step * number:.1f}" y="{floor + 16}" text-anchor="middle">{x:g}</text>'
            for number, x in enumerate(places)
        ),
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(place(x, y) for x, y in curve)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        height = MARGIN - 10 + 15 * number
        parts.append(f'<text x="{WIDTH - MARGIN}" y="{height}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join(f"    {part}" for part in parts)
