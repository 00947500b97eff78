"""One enhancement as callers see it: its options, its result, and the time that each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticCustomError

from service.limits import EXPOSURE_RANGE, GAMMA_RANGE, MAX_SIDE_RANGE, SHADOWS_RANGE, SHARE_RANGE
from service.pictures import FORMAT_ALIASES, Metadata, PictureFormat
from service.rendering import Detail, RenderOptions
from service.restoring import Denoise
from service.telemetry import span


class EnhanceOptions(BaseModel):
    """What a caller may ask for, by the same names in the query string, in protocol parameters and in flags."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str | None = Field(None, max_length=128)
    """Model to use; the service's default model if absent."""

    version: int | None = Field(None, ge=1)
    """Version of the model; the latest if absent."""

    detail: Detail = Detail.AUTO
    """How the network is applied to the picture: at full size, through a proxy and a local colour map, or in
    tiles."""

    strength: float = Field(1.0, ge=SHARE_RANGE[0], le=SHARE_RANGE[1])
    """How much of the enhancement is applied: 0 leaves the picture as it is, 1 is the network's full result."""

    protect: float = Field(0.5, ge=SHARE_RANGE[0], le=SHARE_RANGE[1])
    """How far lamps, skies and other bright areas keep their tone."""

    gate: bool = True
    """Whether a picture that is already bright is enhanced less."""

    gamma: float = Field(1.0, ge=GAMMA_RANGE[0], le=GAMMA_RANGE[1])
    """Exponent applied to the enhanced picture: below 1 brightens, above 1 darkens."""

    exposure: float = Field(0.0, ge=EXPOSURE_RANGE[0], le=EXPOSURE_RANGE[1])
    """Exposure in stops relative to the automatic one, also for a picture that `gate` leaves alone: 1 doubles the
    light in dark areas, and white stays white."""

    shadows: float = Field(0.0, ge=SHADOWS_RANGE[0], le=SHADOWS_RANGE[1])
    """How far only the dark areas are lifted or, below 0, darkened; tones above middle grey stay as they are."""

    denoise: Annotated[float, Field(ge=SHARE_RANGE[0], le=SHARE_RANGE[1], allow_inf_nan=False)] | Literal["auto"] = (
        "auto"
    )
    """Noise reduction at full size: `auto` removes noise where it would be visible, as far as time allows; a share
    from 0 to 1 applies to the whole picture. Needs the model that the setting `NIGHTLIFT_RESTORER` names."""

    max_side: int | None = Field(None, ge=MAX_SIDE_RANGE[0], le=MAX_SIDE_RANGE[1])
    """Longest side of the result in pixels. Larger results are shrunk after the enhancement, so the look is the
    same."""

    format: Literal["jpeg", "png", "webp", "avif", "tiff"] | None = None
    """Output format; that of the input if absent, unless `Accept` excludes it. `jpg` and `tif` are accepted too."""

    quality: int = Field(90, ge=1, le=100)
    """Quality of lossy output formats."""

    metadata: Metadata = Metadata.WITHOUT_LOCATION
    """What is kept of EXIF, XMP, IPTC and print resolution: `keep` keeps all of it, `without_location` all except the
    location, `strip` nothing."""

    @field_validator("format", mode="before")
    @classmethod
    def _common_name(cls, value: object) -> object:
        return FORMAT_ALIASES.get(value.lower(), value.lower()) if isinstance(value, str) else value

    @field_validator("denoise", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, check: ValidatorFunctionWrapHandler) -> object:
        try:
            return check(value)
        except ValidationError:
            lowest, highest = SHARE_RANGE
            raise PydanticCustomError(
                "denoise",
                "input should be auto, or a number from {lowest} to {highest}",
                {"lowest": lowest, "highest": highest},
            ) from None

    @property
    def render(self) -> RenderOptions:
        """The options that affect rendering."""
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
        """Add the time that the block takes, counted from `since` if given, and trace the block."""
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
        gate: how much of the enhancement the gate for bright pictures passes, 0 to 1; measured even if it is off.
        luminance_before, luminance_after: mean luminance, 0 to 1.
        width, height: pixels of the answer.
        source_width, source_height: pixels of the upright photo.
        denoise: what was asked for.
        denoise_scale: size at which noise was removed, relative to the picture's: 1, 0.5 or 0.25; 0: not at all.
        restored: share of the picture from which noise was removed, 0 to 1.
        dropped: parts of the file that the answer lacks: `frames` after the first, a `gain-map`.
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
    denoise: Denoise
    denoise_scale: float
    restored: float
    dropped: tuple[str, ...]
    timings: Timings
