"""Draw a training's losses as a small SVG: `python -m docs.make_curves RUN_FOLDER FILE.svg`."""

from __future__ import annotations

import sys
from pathlib import Path

from training import read_curve

WIDTH, HEIGHT, MARGIN = 640, 280, 44
CURVES = {"train/loss": "#9aa3b8", "validation/loss": "#c2410c"}

Points = list[tuple[int, float]]


def draw(curves: dict[str, Points], title: str) -> str:
    """An SVG of the losses over the steps, both axes labelled with their ends."""
    shown = {name: curves[name] for name in CURVES if curves.get(name)}
    steps = [step for points in shown.values() for step, _ in points]
    values = [value for points in shown.values() for _, value in points]
    last, low, high = max(steps), min(values), max(values)

    def place(step: float, value: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / last
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<polyline fill="none" stroke="{CURVES[name]}" stroke-width="2" '
        f'points="{" ".join(place(*point) for point in points)}"/>'
        for name, points in shown.items()
    ]
    names = [
        f'<text x="{WIDTH - MARGIN}" y="{MARGIN + 18 * row}" text-anchor="end" fill="{CURVES[name]}">{name}</text>'
        for row, name in enumerate(shown)
    ]
    ends = [
        f'<text x="{MARGIN}" y="{MARGIN - 20}">{title}</text>',
        f'<text x="{MARGIN - 6}" y="{MARGIN + 4}" text-anchor="end">{high:.2f}</text>',
        f'<text x="{MARGIN - 6}" y="{HEIGHT - MARGIN}" text-anchor="end">{low:.2f}</text>',
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - MARGIN + 20}" text-anchor="end">step {last:.0f}</text>',
    ]
    body = "\n  ".join([*lines, *names, *ends])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#52586a">\n  '
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n  {body}\n</svg>\n'
    )


if __name__ == "__main__":
    run, out = map(Path, sys.argv[1:])
    out.write_text(draw(read_curve(run / "curve.csv"), run.name))
