"""How well an object detector works on dark pictures and on their enhanced versions: measurement and table."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._tables import table
from training.datasets import Darkening, darken, read_picture
from training.datasets.exdark import LabelledPicture
from training.evaluation import PLAIN
from training.evaluation.detection import Detection, Detector, Precision, count_objects, precision

Pixels = NDArray[np.uint8]
Enhance = Callable[[Pixels], Awaitable[Pixels]]

AS_TAKEN = "as taken"
"""Column of photographs that were taken in the dark, so that they need no darkening."""

ORIGINAL, UNENHANCED = "before darkening", "not enhanced"
PLAIN_METHOD = "stretch and gamma"
"""The best of the methods without a network, as a baseline for every network."""


def _level(gain: float) -> Darkening:
    """A phone's sensor with the fraction `gain` of the light; all other parameters are the same at all levels."""
    return Darkening(
        gain=(gain, gain),
        tone=(2.2, 2.2),
        electrons=(10_000, 10_000),
        read_noise=(4, 4),
        grain=(1.0, 2.0),
        mosaic=1.0,
        chroma_blur=(0.5, 1.5),
        jpeg=1.0,
        quality=(90, 95),
    )


LEVELS: Mapping[str, Darkening] = {"10 % of the light": _level(0.1), "3 %": _level(0.03), "1 %": _level(0.01)}
"""The levels to which well-lit photographs are darkened. White becomes the code value 90, 52 or 31 of 255."""


@dataclass(frozen=True)
class Score:
    """The detector's precision with one system at one light level."""

    system: str
    light: str
    precision: Precision


@dataclass(frozen=True)
class DownstreamReport:
    """All results.

    Attributes:
        detector: name of the detector's file.
        convention: the detector's convention for inputs and outputs, such as YOLOv8's.
        pictures, objects: numbers scored; only objects of classes that the detector knows count.
        lights: light levels, in the order of the table's columns.
        scores: one for each system and light level.
    """

    detector: str
    convention: str
    pictures: int
    objects: int
    lights: tuple[str, ...]
    scores: tuple[Score, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report in types that JSON can represent."""
        return asdict(self)

    def of(self, system: str, light: str) -> Precision:
        """The precision of one system at one light level.

        Raises:
            KeyError: if it was not measured.
        """
        return {(score.system, score.light): score.precision for score in self.scores}[system, light]

    def table(self) -> str:
        """A Markdown table with a row per system: mAP .50:.95 and mAP .50 in per cent for every light level."""
        columns = [f"{light}, {kind}" for light in self.lights for kind in ("mAP .50:.95", "mAP .50")]
        rows = []
        for system in dict.fromkeys(score.system for score in self.scores):
            found = [self.of(system, light) for light in self.lights]
            rows.append([system, *(f"{100 * part:.1f}" for one in found for part in (one.average, one.at_half))])
        return table(["", *columns], rows)


async def measure(
    detector: Detector,
    name: str,
    pictures: Sequence[LabelledPicture],
    systems: Mapping[str, Enhance],
    levels: Mapping[str, Darkening],
    on_picture: Callable[[int], None] = lambda number: None,
) -> DownstreamReport:
    """Score a detector on pictures before and after every system.

    The detector blocks the event loop, which nothing else uses meanwhile.

    Args:
        detector: a detector for the pictures' classes.
        name: the detector's name in the report.
        pictures: labelled pictures.
        systems: name -> function from uint8 [H, W, 3] RGB to the same shape.
        levels: name -> how the pictures are darkened; empty if they are already dark.
        on_picture: called with the number of pictures done so far.

    Raises:
        ValueError: if the pictures contain no object that the detector knows.
        NightliftError: if a picture cannot be enhanced.
    """
    lights = tuple(levels) or (AS_TAKEN,)
    names = ([ORIGINAL] if levels else []) + [UNENHANCED, PLAIN_METHOD, *systems]
    found: dict[tuple[str, str], list[list[Detection]]] = {(s, light): [] for s in names for light in lights}
    for number, labelled in enumerate(pictures, start=1):
        photo = read_picture(labelled.path)
        original = detector.detect(photo) if levels else []
        for light in lights:
            shown = darkened(photo, labelled.path.name, levels[light]) if levels else photo
            if levels:
                found[ORIGINAL, light].append(original)
            found[UNENHANCED, light].append(detector.detect(shown))
            found[PLAIN_METHOD, light].append(detector.detect(PLAIN[PLAIN_METHOD](shown)))
            for system, enhance in systems.items():
                found[system, light].append(detector.detect(await enhance(shown)))
        on_picture(number)
    return DownstreamReport(
        detector=name,
        convention=detector.convention,
        pictures=len(pictures),
        objects=count_objects(pictures, detector.known),
        lights=lights,
        scores=tuple(
            Score(system, light, precision(pictures, things, detector.known))
            for (system, light), things in found.items()
        ),
    )


def darkened(photo: Pixels, name: str, level: Darkening) -> Pixels:
    """A darkened photograph, uint8 [H, W, 3]. The noise depends only on the file's name and the level."""
    return darken(photo, level, np.random.default_rng([zlib.crc32(name.encode()), round(1e6 * level.gain[0])]))
