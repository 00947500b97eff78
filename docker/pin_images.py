"""Write the digests of all base images into the files that name them: `python docker/pin_images.py`.

A tag may be moved to another image, a digest may not. Digests come from the registries, by `docker buildx
imagetools`; the tags stay, so that the next run finds newer images of the same version. `pin.py` writes
`docker/requirements*.txt`.
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
"""An image that a variable may replace, with its default."""


def images(text: str) -> dict[str, str | None]:
    """The images that a file names, each with its digest if it has one."""
    return {match["name"]: match["digest"] for match in IMAGE.finditer(text)}


def pinned(text: str, resolve: Callable[[str], str]) -> str:
    """The file with the digest of every image as it is now."""
    return IMAGE.sub(lambda match: f"{match['before']}{match['name']}@{resolve(match['name'])}", text)


def newest_digest(name: str) -> str:
    """The digest that the registry has for this name and tag.

    Raises:
        subprocess.CalledProcessError: if it cannot be reached, or has no such image.
    """
    command = ["docker", "buildx", "imagetools", "inspect", name, "--format", "{{json .Manifest}}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["digest"]


def main() -> int:
    """See the module; ends with 1 if an image could not be found."""
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
