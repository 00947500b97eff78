"""Send any files through a service at strength 0, and compare the answers with what Pillow and libvips decode.

    python -m benchmarks.files FOLDER --server http://localhost:8000

Every file is sent twice: for an answer in its own format, as a client would get it, and for a lossless TIFF. Size
(upright), colours (mean difference in 8-bit sRGB code values), alpha, bit depth, profile, metadata and print
resolution are compared; a table names the differences. Files that the service refuses are counted separately,
depending on whether Pillow or libvips can decode them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks._shown import Shown, by_pillow, by_vips, vips_is_installed

MAX_DIFFERENCE = 3.0
"""Largest mean difference of colours that counts as equal. Two JPEG decoders differ by less than 1."""


@dataclass(frozen=True)
class Row:
    """The result for one file.

    Attributes:
        name: path below the folder.
        status: HTTP status of the answer, followed by the problem if there is one.
        shown: names of the other programs that can decode the file.
        differences: in what the answer differs from them.
        pillow, vips: mean difference of colours from each, or None.
    """

    name: str
    status: str
    shown: tuple[str, ...]
    differences: tuple[str, ...]
    pillow: float | None
    vips: float | None

    @property
    def verdict(self) -> str:
        """The category under which the file is counted."""
        if self.status != "200":
            return "refused, and others show it" if self.shown else "refused, and nobody shows it"
        return "differs" if self.differences else "the same"


def main(words: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit code, 1 if the service failed (5xx) or did not answer."""
    arguments = parser().parse_args(words)
    if not vips_is_installed():
        print("libvips is not installed (libvips-tools); comparing with Pillow only", file=sys.stderr)
    headers = {"Authorization": f"Bearer {arguments.api_key}"} if arguments.api_key else {}
    rows = []
    print("| file | answer | Pillow | libvips | differences |\n|---|---|---|---|---|")
    with httpx.Client(base_url=arguments.server, timeout=120, headers=headers) as client:
        for path in _files(arguments.folder):
            row = compare(client, path, path.relative_to(arguments.folder).as_posix())
            rows.append(row)
            if arguments.all or row.verdict in ("differs", "refused, and others show it"):
                print(_line(row), flush=True)
    print()
    for verdict, count in Counter(row.verdict for row in rows).most_common():
        print(f"- {count}: {verdict}")
    return int(any(row.status[:1] not in "24" for row in rows))


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.files", description=(__doc__ or "").splitlines()[0]
    )
    arguments.add_argument("folder", type=Path, help="folder of files of any kind")
    arguments.add_argument("--server", default="http://localhost:8000", help="URL of the service")
    arguments.add_argument("--api-key", help="API key, if the service requires one")
    arguments.add_argument("--all", action="store_true", help="also print files without differences")
    return arguments


def compare(client: httpx.Client, path: Path, name: str) -> Row:
    """Send a file, and compare the answers with what Pillow and libvips decode."""
    data = path.read_bytes()
    others = {"Pillow": by_pillow(data), "libvips": by_vips(path) if vips_is_installed() else None}
    shown = tuple(who for who, what in others.items() if what is not None)
    options = {"strength": "0", "metadata": "keep"}
    try:
        own = client.post("/enhance", params=options, content=data)
        exact = client.post("/enhance", params={**options, "format": "tiff"}, content=data)
    except httpx.HTTPError as error:
        return Row(name, f"no answer: {type(error).__name__}", shown, (), None, None)
    if own.status_code != 200 or exact.status_code != 200:
        worse = own if own.status_code != 200 else exact
        detail = worse.json().get("detail", "") if "json" in worse.headers.get("content-type", "") else ""
        return Row(name, f"{worse.status_code} {detail[:90]}", shown, (), None, None)
    answer, lossless = by_pillow(own.content), read_tiff(exact.content)
    differences: dict[str, None] = {}
    colours: dict[str, float | None] = {}
    for who, other in others.items():
        colours[who] = None
        if other is not None:
            found, colours[who] = _differences(other, answer, lossless, own.headers["content-type"])
            differences |= dict.fromkeys(f"{what} ({who})" for what in found)
    return Row(name, "200", shown, tuple(differences), colours["Pillow"], colours["libvips"])


def read_tiff(tiff: bytes) -> Shown | None:
    """A TIFF as decoded by Pillow, with the bit depth found by OpenCV, because Pillow reduces colours to 8 bits."""
    import cv2

    planes = cv2.imdecode(np.frombuffer(tiff, np.uint8), cv2.IMREAD_UNCHANGED)
    seen = by_pillow(tiff)
    if seen is None or planes is None:
        return seen
    bits = 8 * planes.itemsize
    return Shown(seen.rgb, seen.alpha, bits, seen.profile, seen.exif, seen.xmp, seen.iptc, seen.density)


def _differences(
    other: Shown, answer: Shown | None, lossless: Shown | None, kind: str
) -> tuple[list[str], float | None]:
    if answer is None or lossless is None:
        return ["cannot be read"], None
    found = []
    if other.rgb.shape != lossless.rgb.shape:
        return [f"size {lossless.rgb.shape[1]}x{lossless.rgb.shape[0]}"], None
    weight = np.ones(other.rgb.shape[:2]) if other.alpha is None else other.alpha / 255
    difference = float((np.abs(other.rgb - lossless.rgb).mean(axis=2) * weight).sum() / max(weight.sum(), 1))
    if difference > MAX_DIFFERENCE:
        found.append(f"colours by {difference:.1f}")
    if other.alpha is not None and kind != "image/jpeg":
        off = None if lossless.alpha is None else float(np.abs(other.alpha - lossless.alpha).max())
        if off is None or off > 1:
            found.append("alpha lost" if off is None else f"alpha by {off:.0f}")
    if other.bits > lossless.bits:
        found.append(f"{lossless.bits} of {other.bits} bits")
    for what in ("profile", "exif", "xmp"):
        if getattr(other, what) and not getattr(answer, what):
            found.append(f"{what} lost")
    if other.iptc and kind in ("image/jpeg", "image/tiff") and not answer.iptc:
        found.append("iptc lost")
    if other.density and kind in ("image/jpeg", "image/png", "image/tiff"):
        if answer.density is None:
            found.append("print resolution lost")
        elif abs(answer.density - other.density) > 1:
            found.append(f"print resolution {answer.density:g} for {other.density:g}")
    return found, difference


def _line(row: Row) -> str:
    pillow, vips = ("" if value is None else f"{value:.2f}" for value in (row.pillow, row.vips))
    others = "; ".join(row.differences) or (f"shown by {' and '.join(row.shown)}" if row.status != "200" else "")
    return f"| {row.name} | {row.status} | {pillow} | {vips} | {others} |"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
