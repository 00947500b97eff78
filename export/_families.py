"""The hand-written texts about each network and each data set: `families/*.toml`, read and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).with_name("families")
DATA = "_data"


class Reported(BaseModel):
    """Figures that somebody published about a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Who reports, and on what pictures."""
    figures: str
    """What they report, with units."""


class Family(BaseModel):
    """Prose and serving choices for a network; paper and scope come from its `NetworkSpec`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str
    """One paragraph: the idea."""
    upstream: str = ""
    """Address of the authors' code, where there is one."""
    upstream_terms: str
    """Terms of the authors' code and weights."""
    max_pixels: int = Field(ge=0)
    """Largest picture, in pixels, that is enhanced whole unless the caller asks; 0: none."""
    limits: tuple[str, ...]
    """Its weaknesses, one sentence each."""
    reported: tuple[Reported, ...] = ()


class DataSet(BaseModel):
    """A data set that weights come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known_as: tuple[str, ...]
    """Names of layouts and folders by which a training manifest shows it."""
    title: str
    citation: str
    terms: str
    is_free: bool = False
    """Whether weights trained on such data alone may be used for any purpose; else it is research data."""


def family(name: str) -> Family:
    """The text about a network.

    Raises:
        FileNotFoundError: there is none, so it cannot be exported with a proper card.
    """
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise FileNotFoundError(f"there is no text about {name!r}: {path.name} is missing in {FOLDER.name}/")
    return Family(**_read(path))


def data_sets(training: dict[str, Any]) -> list[DataSet]:
    """The data sets that training manifests name by the folders of their streams, or else by the layouts.

    Unknown folders are listed as sets without terms, but only beside known sets.
    """
    names: set[str | None] = set()
    unknown: set[str] = set()
    of_sets = {name for data in _known_data() for name in data.known_as}
    for stage in training_stages(training):
        streams = stage.get("recipe", {}).get("data", {})
        folders = {name: Path(stream.get("folder", "")).name for name, stream in stage.get("data", {}).items()}
        for name in {**streams, **folders}:
            layout, folder = streams.get(name, {}).get("layout"), folders.get(name, "")
            names.add(folder if folder in of_sets else layout)
            if folder and not {layout, folder} & of_sets:
                unknown.add(folder)
    known = [data for data in _known_data() if names & set(data.known_as)]
    return known + [_unknown(folder) for folder in sorted(unknown) if known]


def grant(training: dict[str, Any]) -> str:
    """The uses that a training's data permits, with reasons; empty if any of it is unknown or permits none."""
    layouts: set[str | None] = set()
    for stage in training_stages(training):
        streams = stage.get("recipe", {}).get("data", {})
        layouts |= {stream.get("layout") for stream in streams.values()} or {None}
    sets = data_sets(training)
    known = {name for data in sets for name in data.known_as}
    is_free = bool(sets) and layouts <= known and all(data.is_free for data in sets)
    return str(_data()["grant"]).strip() if is_free else ""


def training_stages(training: dict[str, Any]) -> list[dict[str, Any]]:
    """A training manifest preceded by those of the earlier stages that it started from, in order."""
    before = training.get("began_with")
    return [*(training_stages(before) if before else []), training]


def _unknown(folder: str) -> DataSet:
    return DataSet(
        known_as=(folder,), title=f"Data in a folder called {folder}", citation="Not known here", terms="not known"
    )


@cache
def _known_data() -> tuple[DataSet, ...]:
    return tuple(DataSet(**entry) for entry in _data().values() if isinstance(entry, dict))


@cache
def _data() -> dict[str, Any]:
    return _read(FOLDER / f"{DATA}.toml")


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
