"""One enhancement as callers see it: what may be asked for, what comes back, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.limits import EXPOSURE_RANGE, GAMMA_RANGE, MAX_SIDE_RANGE, SHADOWS_RANGE, SHARE_RANGE
from service.pictures import FORMAT_ALIASES, Metadata, PictureFormat
from service.rendering import Detail, RenderOptions
from service.telemetry import span


class EnhanceOptions(BaseModel):
    """What a caller may ask for, by the same names in the query string, in protocol parameters and in flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str | None = Field(None, max_length=128)
    """Model to use; the service's default model if absent."""

    version: int | None = Field(None, ge=1)
    """Version of the model; its latest if absent."""

    detail: Detail = Detail.AUTO
    """How the picture meets the network: at full size, through a proxy and a local colour map, or in tiles."""

    strength: float = Field(1.0, ge=SHARE_RANGE[0], le=SHARE_RANGE[1])
    """How much of the enhancement is applied: 0 leaves the picture as it is, 1 takes the network's answer."""

    protect: float = Field(0.5, ge=SHARE_RANGE[0], le=SHARE_RANGE[1])
    """How much lamps, skies and other bright parts keep their tone."""

    gate: bool = True
    """Whether a picture that is bright already is enhanced less."""

    gamma: float = Field(1.0, ge=GAMMA_RANGE[0], le=GAMMA_RANGE[1])
    """Exponent applied to the enhanced picture: below 1 brightens, above 1 darkens."""

    exposure: float = Field(0.0, ge=EXPOSURE_RANGE[0], le=EXPOSURE_RANGE[1])
    """Brightness in stops around the automatic one, also of a picture that `gate` leaves alone: 1 doubles the light
    of dark parts, and white stays white."""

    shadows: float = Field(0.0, ge=SHADOWS_RANGE[0], le=SHADOWS_RANGE[1])
    """How far dark parts alone are lifted, or, below 0, kept darker; what is brighter than middle grey stays."""

    max_side: int | None = Field(None, ge=MAX_SIDE_RANGE[0], le=MAX_SIDE_RANGE[1])
    """Longest side of the answer in pixels. A longer one is shrunk after the enhancement, so the look is the same."""

    format: Literal["jpeg", "png", "webp", "avif", "tiff"] | None = None
    """Output format; that of the input if absent, unless `Accept` excludes it. `jpg` and `tif` are understood."""

    quality: int = Field(90, ge=1, le=100)
    """Quality of lossy output formats."""

    metadata: Metadata = Metadata.WITHOUT_LOCATION
    """What is kept of EXIF, XMP, IPTC and print resolution: `keep` all of it, `without_location` all but the
    location, `strip` none of it."""

    @field_validator("format", mode="before")
    @classmethod
    def _common_name(cls, value: object) -> object:
        return FORMAT_ALIASES.get(value.lower(), value.lower()) if isinstance(value, str) else value

    @property
    def render(self) -> RenderOptions:
        """The part that rendering acts on."""
        return RenderOptions(
            detail=self.detail,
            strength=self.strength,
            protect=self.protect,
            gate=self.gate,
            gamma=self.gamma,
            exposure=self.exposure,
            shadows=self.shadows,
        )


@dataclass
class Timings:
    """Seconds spent by stage, in the order of the stages."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str, since: float | None = None) -> Iterator[None]:
        """Add the time that the block takes, or that has passed `since` then, and trace the block."""
        started = time.monotonic() if since is None else since
        try:
            with span(stage):
                yield
        finally:
            self.add(stage, time.monotonic() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Add `seconds` to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True)
class Enhanced:
    """The answer to one request.

    Attributes:
        data: the encoded picture.
        format: its format.
        model, version: what answered.
        detail: how it was rendered, as `RenderPlan.label` has it.
        gate: how far the already-bright gate lets the enhancement through, 0 to 1; measured even where it is off.
        luminance_before, luminance_after: mean luminance, 0 to 1.
        width, height: pixels of the answer.
        source_width, source_height: pixels of the upright photo.
        dropped: what of the file the answer has not: `frames` behind the first, a `gain-map`.
        timings: seconds by stage.
    """

    data: bytes
    format: PictureFormat
    model: str
    version: int
    detail: str
    gate: float
    luminance_before: float
    luminance_after: float
    width: int
    height: int
    source_width: int
    source_height: int
    dropped: tuple[str, ...]
    timings: Timings
