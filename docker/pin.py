"""Write docker/requirements*.txt: the packages for the images and for building them, pinned to the tested versions.

Run it after `make test`: `.venv/bin/python docker/pin.py`. It needs `uv` (`pip install uv`), which gets the hashes of
the files from the package index. Since the lists have hashes, pip refuses files without one.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
IMAGE_PYTHON = {"python_version": "3.12", "python_full_version": "3.12.0"}
HEADERS = {
    "requirements.txt": "Packages of the images: the service with the extra `tracing`, and all dependencies",
    "requirements-build.txt": "Packages that build the wheel with its kernels; they are not part of the images",
    "requirements-export.txt": "Further packages that export TorchScript models during a build, besides torch",
}


def closure(roots: list[Requirement]) -> set[str]:
    """The names of `roots` and of all their dependencies on the images' version of Python."""
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


def pinned() -> dict[str, str]:
    """The contents of the files, without hashes, by file name."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, build = described["project"], described["build-system"]["requires"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]
    installed = closure([Requirement(text) for text in wanted])
    exporting = [Requirement(text) for text in project["optional-dependencies"]["export"]]
    torch = closure([one for one in exporting if one.name == "torch"])
    exporter = closure(exporting) - torch - installed
    contents = {
        "requirements.txt": _tested(installed),
        "requirements-build.txt": [_built_with(Requirement(text)) for text in sorted(build)],
        "requirements-export.txt": _tested(exporter),
    }
    return {
        name: f"# {HEADERS[name]}. Pinned by docker/pin.py.\n" + "".join(f"{line}\n" for line in lines)
        for name, lines in contents.items()
    }


def _tested(packages: set[str]) -> list[str]:
    return [f"{package}=={metadata.version(package)}" for package in sorted(packages)]


def _built_with(requirement: Requirement) -> str:
    """A pinned requirement: the version in pyproject.toml if that is exact, otherwise the one installed here."""
    pinned = str(requirement.specifier).startswith("==")
    return str(requirement) if pinned else f"{requirement.name}=={metadata.version(requirement.name)}"


def with_hashes(content: str, uv: str) -> str:
    """The same requirements, each with the hashes of its files for the images' Python on Linux."""
    options = ("--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--quiet")
    platform = ("--python-version", "3.12", "--python-platform", "x86_64-unknown-linux-gnu")
    command = [uv, "pip", "compile", "-", *options, *platform]
    found = subprocess.run(command, input=content, stdout=subprocess.PIPE, text=True, check=True)
    comments = [line for line in content.splitlines() if line.startswith("#")]
    return "\n".join((*comments, found.stdout.strip())) + "\n"


if __name__ == "__main__":
    uv = sys.argv[1] if len(sys.argv) > 1 else "uv"
    files = pinned()
    files |= {
        name: (ROOT / "docker" / name).read_text() for name in ("requirements-cuda.txt", "requirements-torch.txt")
    }
    for name, content in files.items():
        plain = "".join(line + "\n" for line in content.splitlines() if not line.startswith("    --hash"))
        (ROOT / "docker" / name).write_text(with_hashes(plain.replace(" \\\n", "\n"), uv))
