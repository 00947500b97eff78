"""Run every long command of docs/reliability.md in a short form: `python -m tests.reliability.run_short`.

It shows that they still run; what they measure on a busy machine says nothing, so of a measurement any end is taken
that is no crash. What measures nothing must end well.
"""

from __future__ import annotations

import os
import subprocess
import sys

MODULES: dict[str, tuple[str, ...]] = {
    "tests.reliability.bursts": ("--seconds", "3"),
    "tests.reliability.fuzz": ("--requests", "400", "--sockets", "60"),
    "tests.reliability.hostile": ("--minutes", "0.5"),
    "tests.reliability.memory": ("--sum-only",),
    "tests.reliability.overload": ("--seconds", "5", "--times", "3"),
    "tests.reliability.refusals": ("--requests", "200"),
    "tests.reliability.restarts": ("--restarts", "2", "--kills", "1"),
    "tests.reliability.slow_clients": ("--uploads", "50"),
    "tests.reliability.soak": ("--minutes", "0.5"),
}
OTHERS = (
    ["make", "audit"],
    [sys.executable, "-m", "pytest", "-q", "tests/service/http/test_openapi.py"],
)


def main() -> int:
    """See the module; ends with 1 if any of them did not."""
    os.environ["NIGHTLIFT_SCHEMA_EXAMPLES"] = "20"
    measurements = [([sys.executable, "-m", name, *options], (0, 1)) for name, options in MODULES.items()]
    failed = []
    for command, ends in (*measurements, *((other, (0,)) for other in OTHERS)):
        print("$", *command, flush=True)
        outcome = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if outcome.returncode not in ends or "Traceback" in outcome.stderr:
            print(outcome.stderr[-3000:])
            failed.append(" ".join(command))
    print("failed: " + "; ".join(failed) if failed else "all ran")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
