"""The list of freely licensed photographs and environment maps on which the open weights are trained.

`open_sources.csv` has a line for each: its origin, the digest of its bytes, its licence and author. Files that are
not on the list, or differ from their digest, are not used.
"""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LIST = Path(__file__).with_name("open_sources.csv")

ORIGINALS = "originals"
"""Folder of the gathered files, as their publishers made them."""

MAP = "environment"
"""Kind of the environment maps; all other kinds are photographs."""

Flag = Annotated[bool, BeforeValidator(lambda text: {"yes": True, "no": False}.get(text, text))]


class Source(BaseModel):
    """A line of the list.

    Attributes:
        file: name under which the file is kept, unique.
        source: where the package comes from: Debian's archive, or npm's registry.
        package: its name.
        version: the version that the file was checked in; other versions do where the digest agrees.
        path: of the file inside the package; after `::`, inside a Qt resource there.
        bytes: size of the file.
        sha256: digest of its bytes.
        licence: SPDX identifier; `LicenseRef-public-domain` where the author gave up all rights or has none.
        copyleft: whether the licence asks that works made from the file carry it too.
        author: as the package names them.
        link: where the package says that the file comes from, else the project's address.
        kind: subject of the picture; `environment` for maps.
        exposure: `good`, `mixed` or `dark`; `linear` for maps.
        note: what else the package says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[^/]+\.[a-z]+$")
    source: Literal["debian", "npm"]
    package: str
    version: str
    path: str
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=3)
    copyleft: Flag
    author: str = Field(min_length=1)
    link: str = Field(min_length=1)
    kind: str
    exposure: Literal["good", "mixed", "dark", "linear"]
    note: str = ""

    @property
    def is_map(self) -> bool:
        """Whether this is an environment map of linear light."""
        return self.kind == MAP


def read_sources(path: Path | None = None) -> tuple[Source, ...]:
    """The lines of a list, in its order; None: of the list that comes with Nightlift.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: a line is wrong (pydantic's error), or two lines have the same name or digest.
    """
    return _read((path or LIST).resolve())


@cache
def _read(path: Path) -> tuple[Source, ...]:
    with path.open(newline="", encoding="utf-8") as lines:
        sources = tuple(Source.model_validate(row) for row in csv.DictReader(lines))
    for what in ("file", "sha256"):
        values = [getattr(source, what) for source in sources]
        if twice := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"{path.name} has {', '.join(sorted(twice))} twice")
    return sources


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def gathered(root: Path, sources: tuple[Source, ...] | None = None) -> dict[Source, Path]:
    """What `python -m training.datasets.gather` left in a folder: listed files that have the listed bytes.

    Args:
        root: the folder that was given to `gather`.
        sources: the list; None: the one that comes with Nightlift.

    Raises:
        FileNotFoundError: nothing was gathered there.
        ValueError: a file is not on the list, or has other bytes.
    """
    folder = root / ORIGINALS
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; `python -m training.datasets.gather {root}` downloads the pictures"
        )
    by_name = {source.file: source for source in (read_sources() if sources is None else sources)}
    found = {}
    for path in sorted(folder.iterdir()):
        source = by_name.get(path.name)
        if source is None:
            raise ValueError(f"{path} is not on the list of sources: remove it")
        if path.stat().st_size != source.bytes or digest(path) != source.sha256:
            raise ValueError(f"{path} differs from its digest in the list of sources: remove it, and gather again")
        found[source] = path
    return found
