"""BentoML: a service whose API takes a photo and gives one, in several worker processes or with adaptive batches."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from photo_network import BATCH, WORKERS, PhotoNetwork, decode, encode


@bentoml.service(name="enhance", workers=WORKERS, threads=1, traffic={"timeout": 600}, metrics={"enabled": False})
class Enhance:
    """The photo as the field `photo` of a form; BentoML hands it over as a file."""

    def __init__(self) -> None:
        self.network = PhotoNetwork()

    if BATCH > 1:

        @bentoml.api(route="/enhance", batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
        def enhance(self, photo: list[Path]) -> list[Path]:
            """Photos of equal size share a pass."""
            answers = self.network.run_many([decode(one.read_bytes()) for one in photo])
            for one, answer in zip(photo, answers, strict=True):
                one.write_bytes(encode(answer))
            return photo

    else:

        @bentoml.api(route="/enhance")
        def enhance(self, photo: Path) -> Annotated[Path, ContentType("image/jpeg")]:
            """A JPEG to a JPEG."""
            photo.write_bytes(self.network.enhance(photo.read_bytes()))
            return photo
