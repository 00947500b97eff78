"""Compile the kernels ahead of time, into the library that `_machine_code` looks for. Needs numba and a linker."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from service.rendering import _fit, _kernels
from service.rendering._machine_code import LIBRARY, OPTIONS, Kernel, signature, symbol
from service.rendering._pass import warm_up

MODULES = (_fit, _kernels)
"""Where the kernels are."""


def compile_ahead(library: Path = LIBRARY) -> None:
    """Write a library of all kernels, for all types that occur.

    It is made for this machine's processor, or for the one that numba's `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES`
    name: `x86-64-v3` and nothing serve all processors with AVX2.

    Raises:
        FileNotFoundError: there is no linker `ld`.
        subprocess.CalledProcessError: it failed, such as for code that calls into numba or Python.
    """
    warm_up()
    kernels = [kernel for module in MODULES for kernel in vars(module).values() if isinstance(kernel, Kernel)]
    with tempfile.TemporaryDirectory() as folder:
        objects: list[Path] = []
        for kernel in kernels:
            for variant in kernel.variants:
                objects.append(Path(folder) / f"{len(objects)}.o")
                objects[-1].write_bytes(_object_code(kernel.function, variant))
        made = Path(folder) / library.name
        link = ["ld", "-shared", "--no-undefined", "--strip-all", "-o", str(made), *map(str, objects)]
        subprocess.run([*link, "-l:libm.so.6", "-l:libc.so.6"], check=True)
        library.write_bytes(made.read_bytes())


def _object_code(function: Callable[..., None], variant: str) -> bytes:
    """One kernel for one combination of types, as position-independent code under its `symbol`."""
    import numba
    from llvmlite import binding

    options = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    (compiled,) = numba.njit(signature(variant), **options)(function).overloads.values()
    text = compiled.library.get_llvm_str()
    module = binding.parse_assembly(text.replace(compiled.fndesc.llvm_func_name, f'"{symbol(function, variant)}"'))
    _, processor, features = compiled.library.codegen.magic_tuple()
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(processor, features, opt=3, reloc="pic", codemodel="default")
    return bytes(machine.emit_object(module))
