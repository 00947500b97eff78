"""List the licences of the packages in the CPU image, and their published vulnerabilities.

    python docker/audit.py path/to/pip-audit        (`make audit` installs that)

Reads docker/requirements.txt. Exits with 1 if a licence is not allowed, or a vulnerability is known. If the
vulnerability database cannot be reached, this is reported, but is not a failure.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PERMISSIVE = re.compile(
    r"\b(MIT|MIT-CMU|BSD|BSD-\d-Clause|Apache|Apache-2\.0|PSF|PSF-2\.0|Python Software Foundation|HPND|ISC|Zlib|0BSD"
    r"|Unlicense)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EUPL|SSPL)", re.IGNORECASE)
ALLOWED_COPYLEFT = {"certifi": "MPL-2.0: a list of certificates, used unchanged"}
UNREACHABLE = ("ConnectionError", "Failed to resolve", "Max retries exceeded")
UNKNOWN = "not found on PyPI"


def pinned() -> dict[str, str]:
    """Name -> version of every package in the image."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pairs = (line.split(";")[0].split("--hash")[0].strip(" \\").split("==") for line in lines if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


def licence(name: str) -> str:
    """The licence as stated in an installed package's metadata; empty if there is none.

    Raises:
        PackageNotFoundError: if the package is not installed here.
    """
    about = metadata(name)
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [
        entry.rpartition(" :: ")[2] for entry in about.get_all("Classifier") or [] if "License ::" in entry
    ]
    if classifiers:
        return ", ".join(classifiers)
    lines = (about.get("License") or "").strip().splitlines()
    return lines[0][:60] if lines else ""


def check_licences(packages: dict[str, str]) -> bool:
    """Print every package with its licence; returns whether all are allowed."""
    sound = True
    for name, version in packages.items():
        try:
            said = licence(name)
        except PackageNotFoundError:
            print(f"{name} {version}: not installed here, so its licence is unknown")
            continue
        allowed = bool(PERMISSIVE.search(said)) and not COPYLEFT.search(said)
        remark = "" if allowed else f"  <- {ALLOWED_COPYLEFT.get(name, 'NOT ON THE LIST')}"
        sound &= allowed or name in ALLOWED_COPYLEFT
        print(f"{name} {version}: {said or 'no licence stated'}{remark}")
    return sound


def check_vulnerabilities(pip_audit: str) -> bool:
    """Run pip-audit; returns False if a vulnerability is known."""
    command = [pip_audit, "--requirement", str(REQUIREMENTS), "--no-deps", "--disable-pip"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    said = outcome.stdout + outcome.stderr
    print(said)
    if any(word in said for word in UNREACHABLE) or said.count(UNKNOWN) >= len(pinned()):
        print("vulnerabilities: NOT CHECKED, because the database cannot be reached from here")
        return True
    return outcome.returncode == 0


if __name__ == "__main__":
    licences, vulnerabilities = check_licences(pinned()), check_vulnerabilities(sys.argv[1])
    sys.exit(0 if licences and vulnerabilities else 1)
