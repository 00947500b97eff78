"""BentoML: a service whose API takes and returns a photo, with threads; worker processes were slower.

Batching is off: with lists of files, 1.4.39 fails when it combines the answers (`KeyError: 'root'`).
"""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from photo_network import WORKERS, PhotoNetwork


@bentoml.service(name="enhance", workers=1, threads=WORKERS, traffic={"timeout": 600}, metrics={"enabled": False})
class Enhance:
    """Takes the photo as the form field `photo`, which BentoML passes on as a file."""

    def __init__(self) -> None:
        self.network = PhotoNetwork()

    @bentoml.api(route="/enhance")
    def enhance(self, photo: Path) -> Annotated[Path, ContentType("image/jpeg")]:
        """A JPEG to a JPEG."""
        photo.write_bytes(self.network.enhance(photo.read_bytes()))
        return photo
