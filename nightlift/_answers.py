"""What clients get: an enhanced picture with its metadata, or an error that says what was wrong."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/avif": (".avif",),
    "image/tiff": (".tif", ".tiff"),
}
"""Media type of an answer -> suffixes of files that hold it; the first is that of new files."""


@dataclass(frozen=True, repr=False)
class Enhanced:
    """An enhanced picture, and how it was made.

    Attributes:
        data: the encoded picture.
        media_type: such as `image/jpeg`.
        model, version: what answered.
        detail: how it was rendered: `whole`, `guided` or `tiles`; for 16 bits also `whole-affine` or `tiles-affine`.
        gate: how much of the enhancement the gate for bright pictures passed, 0 to 1.
        luminance_before, luminance_after: mean luminance, 0 to 1.
        timings: seconds by stage: `read`, `decode`, `queue`, `infer`, `restore`, `render` and `encode`.
        request_id: id of this request in the service's log; empty without a service.
        denoise: noise reduction as requested: `auto`, or 0 to 1.
        denoise_scale: size at which noise was removed, relative to the picture's: 1, 0.5 or 0.25; 0: not at all.
        restored: share of the picture from which noise was removed, 0 to 1.
        source_size: width and height of the upright photo in pixels.
        dropped: parts of the file that the answer lacks: `frames`, `gain-map`.

    Example:
        answer = client.enhance("photo.jpg")
        answer.save("bright.jpg")
        answer.image.show()
    """

    data: bytes
    media_type: str
    model: str
    version: int
    detail: str
    gate: float
    luminance_before: float
    luminance_after: float
    timings: Mapping[str, float]
    request_id: str
    denoise: float | Literal["auto"] = 0.0
    denoise_scale: float = 0.0
    restored: float = 0.0
    source_size: tuple[int, int] = (0, 0)
    dropped: tuple[str, ...] = ()

    @property
    def image(self) -> PIL.Image.Image:
        """The picture as a PIL image, decoded each time; PIL shows 16 bits of colour as 8."""
        import PIL.Image

        image = PIL.Image.open(io.BytesIO(self.data))
        image.load()
        return image

    @property
    def array(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The picture as uint8, or uint16 for 16 bits, [H, W, C]: C is 1 for grey, 3 for RGB, 4 with alpha.

        In the picture's own colour space, decoded each time.
        """
        import numpy as np

        from service.pictures import decode

        picture = decode(self.data)
        if picture.alpha is not None:
            return np.dstack((picture.pixels, picture.alpha))
        return picture.pixels[..., :1].copy() if picture.is_grey else picture.pixels

    @property
    def seconds(self) -> Mapping[str, float]:
        """The former name of `timings`."""
        warnings.warn("Enhanced.seconds is now called timings", DeprecationWarning, stacklevel=2)
        return self.timings

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the encoded picture to a file; returns its path.

        Raises:
            ValueError: the name has the suffix of another format; pass that `format` to the enhancement.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        fitting = SUFFIXES.get(self.media_type, ())
        if suffix not in fitting and any(suffix in others for others in SUFFIXES.values()):
            kind = self.media_type.removeprefix("image/")
            other = next(media for media, names in SUFFIXES.items() if suffix in names).removeprefix("image/")
            raise ValueError(
                f"{path.name} has the suffix of a {other} file but the answer is {kind}; ask for format={other!r}, "
                f"or name it {path.stem}{fitting[0] if fitting else ''}"
            )
        path.write_bytes(self.data)
        return path

    def __repr__(self) -> str:
        kind = self.media_type.removeprefix("image/")
        return (
            f"<Enhanced {kind} of {len(self.data):,} bytes by {self.model}/{self.version}, luminance "
            f"{self.luminance_before:.3f} to {self.luminance_after:.3f}, {sum(self.timings.values()):.2f} s>"
        )


class ServiceError(Exception):
    """The service refused the request, or failed; `problem` is its RFC 9457 document.

    Attributes:
        status: HTTP status.
        slug: last part of the problem type, such as `queue-full`.
        detail: what was wrong, and what is allowed.

    Example:
        try:
            client.enhance(b"no picture")
        except ServiceError as error:
            print(error.slug, error.detail)
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.slug = str(problem.get("type", "")).rpartition("/")[2]
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP status {status}")
        super().__init__(f"{status}: {self.detail}")
