"""Builds the C kernels of `service/rendering/native`; everything else is configured in pyproject.toml.

The compiler is Zig's, which pip installs for the build like any other build requirement, so that no compiler has to
be present. The library is also built for editable installations.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

SOURCES = Path("service/rendering/native")
LIBRARY = Path("service/rendering/libkernels.so")
LEVELS = {
    "x86_64": {"": "x86_64", "v2": "x86_64_v2", "v3": "x86_64_v3", "v4": "x86_64_v4"},
    "aarch64": {"": "generic", "v1": "generic"},
}
"""Architecture -> instruction set level -> Zig's name for a processor of this level.

The level "" is only for the source `ASKED_FIRST`, which has to run on every processor.
"""

ASKED_FIRST = "level"
"""The source that finds the level of the processor at run time."""

SYSTEMS = {"linux": "linux-gnu.2.17", "macosx": "macos"}

# Floating-point operations may be reordered, but NaN and infinity are respected.
RELAXED = (
    *("-ffp-contract=fast", "-fassociative-math", "-fno-signed-zeros", "-freciprocal-math"),
    *("-fno-trapping-math", "-fno-math-errno"),
)
COMPILE = ("-std=c11", "-O3", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", *RELAXED)


def compile_kernels(library: Path, scratch: Path) -> None:
    """Compile all kernels at all levels into one library, for this machine's system and architecture.

    Args:
        library: the file to write.
        scratch: folder for objects and for Zig's caches.

    Raises:
        RuntimeError: if the system or architecture is not supported.
        subprocess.CalledProcessError: if the compiler fails; its messages go to stderr.
    """
    system, machine = sysconfig.get_platform().partition("-")[0], os.uname().machine
    architecture = "aarch64" if machine == "arm64" else machine
    if system not in SYSTEMS or architecture not in LEVELS:
        raise RuntimeError(
            f"kernels cannot be built for {system} on {machine}, only for {', '.join(SYSTEMS)} on {', '.join(LEVELS)}"
        )
    levels = LEVELS[architecture]
    scratch = scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    library.parent.mkdir(parents=True, exist_ok=True)
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(scratch / "zig"), "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig")}

    def zig(*arguments: str | Path) -> None:
        command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{architecture}-{SYSTEMS[system]}"]
        subprocess.run([*command, *map(str, arguments)], check=True, env={**os.environ, **caches})

    def compiled(source: Path, level: str) -> Path:
        made = scratch / f"{source.stem}_{level}.o"
        zig(f"-mcpu={levels[level]}", f"-DLEVEL={level}", *COMPILE, "-c", source, "-o", made)
        return made

    jobs = [
        (source, level)
        for source in sorted(SOURCES.glob("*.c"))
        for level in levels
        if (level == "") == (source.stem == ASKED_FIRST)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        objects = list(threads.map(lambda job: compiled(*job), jobs))
    zig("-shared", "-nostdlib", "-s", *objects, "-o", library)


class BuildKernels(Command):
    """A custom step of `build`, in the form of setuptools' protocol `SubCommand`."""

    description = "compile the rendering kernels"
    user_options = []  # noqa: RUF012 - setuptools wants a list
    editable_mode = False

    def initialize_options(self) -> None:
        """Declare the options."""
        self.build_lib: str | None = None
        self.build_temp: str | None = None

    def finalize_options(self) -> None:
        """Take the folders from the command `build`."""
        self.set_undefined_options("build", ("build_lib", "build_lib"), ("build_temp", "build_temp"))

    def run(self) -> None:
        """Write the library into the source tree for an editable installation, otherwise into the wheel."""
        assert self.build_temp is not None
        (library,) = self.get_output_mapping().values() if self.editable_mode else self.get_outputs()
        compile_kernels(Path(library), Path(self.build_temp) / "kernels")

    def get_source_files(self) -> list[str]:
        """Files that a source distribution must contain."""
        return [str(path) for path in sorted(SOURCES.glob("*.[ch]"))]

    def get_outputs(self) -> list[str]:
        """Files that are added to a wheel."""
        assert self.build_lib is not None
        return [str(Path(self.build_lib) / LIBRARY)]

    def get_output_mapping(self) -> dict[str, str]:
        """Output file -> file in the source tree that replaces it in an editable installation."""
        return {self.get_outputs()[0]: str(LIBRARY)} if self.editable_mode else {}


class Build(build):
    """`build` with the kernels."""

    sub_commands = [*build.sub_commands, ("build_kernels", None)]  # noqa: RUF012 - as in setuptools


class Wheel(bdist_wheel):
    """A wheel for one platform and any Python 3: the library does not use Python's C API."""

    def get_tag(self) -> tuple[str, str, str]:
        """(Python, ABI, platform) tags."""
        return "py3", "none", super().get_tag()[2]


class Platform(Distribution):
    """A distribution with native code."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel is platform-specific."""
        return True


setup(distclass=Platform, cmdclass={"build": Build, "build_kernels": BuildKernels, "bdist_wheel": Wheel})
