"""Write docker/requirements.txt: what the images install, pinned to what the tests here ran with.

Run it after `make test`: `.venv/bin/python docker/pin.py`.
"""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
IMAGE_PYTHON = {"python_version": "3.12", "python_full_version": "3.12.0"}
HEADER = (
    "# What the images install: the extra `tracing` with everything below it, pinned. Written by docker/pin.py.\n"
)


def closure(roots: list[Requirement]) -> set[str]:
    """The names of `roots` and of all that they need on the image's Python."""
    environment = {**default_environment(), **IMAGE_PYTHON}
    seen: set[tuple[str, str]] = set()
    todo = [(root.name, extra) for root in roots for extra in ("", *root.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({**environment, "extra": extra}):
                todo += [(canonicalize_name(needed.name), below) for below in ("", *needed.extras)]
    return {name for name, _ in seen}


def pinned() -> str:
    """The file's content."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]
    names = closure([Requirement(text) for text in wanted])
    return HEADER + "".join(f"{name}=={metadata.version(name)}\n" for name in sorted(names))


if __name__ == "__main__":
    (ROOT / "docker" / "requirements.txt").write_text(pinned())
