"""A process that has no memory left for a picture says so, and takes no sound file for a damaged one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
from service.errors import OutOfMemory
from service.pictures import decode
from tests.pictures import constant, encoded
large = encoded(constant(40, (3000, 4000)), sys.argv[1])
decode(encoded(constant(40), sys.argv[1]))
used = int(Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
try:
    decode(large)
except OutOfMemory as error:
    print(error.status, error.retry_after)
"""


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_too_little_memory_is_said(format: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", SCRIPT, format],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.stdout == "503 1.0\n", outcome.stderr
