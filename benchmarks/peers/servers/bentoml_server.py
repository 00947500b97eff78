"""BentoML: a service whose API takes a photo and gives one, in threads of its own; worker processes gave less.

Its batches are left off: with lists of files, 1.4.39 fails where it puts the answers together (`KeyError: 'root'`).
"""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from photo_network import WORKERS, PhotoNetwork


@bentoml.service(name="enhance", workers=1, threads=WORKERS, traffic={"timeout": 600}, metrics={"enabled": False})
class Enhance:
    """The photo as the field `photo` of a form; BentoML hands it over as a file."""

    def __init__(self) -> None:
        self.network = PhotoNetwork()

    @bentoml.api(route="/enhance")
    def enhance(self, photo: Path) -> Annotated[Path, ContentType("image/jpeg")]:
        """A JPEG to a JPEG."""
        photo.write_bytes(self.network.enhance(photo.read_bytes()))
        return photo
