"""Write the digests of all base images into the files that name the images: `python docker/pin_images.py`.

A tag can be moved to another image, a digest cannot. The digests come from the registries, by `docker buildx
imagetools`. The tags are kept, so that the next run finds newer images of the same version. For Python packages, see
`pin.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("docker-compose.yml", "docker/Dockerfile", "docker/Dockerfile.cuda")

IMAGE = re.compile(
    r"(?P<before>\$\{\w+_IMAGE:-|^ARG \w+_IMAGE=)(?P<name>[^\s@}]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?", re.M
)
"""The default image of a variable, with its digest if it has one."""


def images(text: str) -> dict[str, str | None]:
    """The images that a file names, each with its digest if it has one."""
    return {match["name"]: match["digest"] for match in IMAGE.finditer(text)}


def pinned(text: str, resolve: Callable[[str], str]) -> str:
    """The text of a file with every image pinned to its current digest, which `resolve` finds by name and tag."""
    return IMAGE.sub(lambda match: f"{match['before']}{match['name']}@{resolve(match['name'])}", text)


def newest_digest(name: str) -> str:
    """The current digest of an image name and tag in its registry.

    Raises:
        OSError: if docker cannot be run.
        subprocess.CalledProcessError: if the registry cannot be reached, or has no such image.
    """
    command = ["docker", "buildx", "imagetools", "inspect", name, "--format", "{{json .Manifest}}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["digest"]


def main() -> int:
    """Pin the images of all files; returns the exit code, 1 if an image cannot be found."""
    for file in FILES:
        path = ROOT / file
        try:
            path.write_text(pinned(path.read_text(), newest_digest))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{file} was not changed: {error}", file=sys.stderr)
            return 1
        print(*(f"{name}@{digest}" for name, digest in images(path.read_text()).items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
