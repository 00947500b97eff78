"""Run the long benchmarks of docs/benchmarks.md in a short form: `python -m tests.benchmarks.run_short [FOLDER]`.

It shows that they still run; what they measure here says nothing. With a folder, the other servers are installed into
it, and one of them is measured too.
"""

from __future__ import annotations

import subprocess
import sys

SERVING = [
    ["benchmarks.serving", "--only", part, "--turns", "1", "--seconds", "2"]
    for part in ("whole", "guided", "alone", "open", "batching", "threads")
]
PEERS = [
    ["benchmarks.peers", "--peers", "fastapi", "--install"],
    *(
        ["benchmarks.peers", "--peers", "fastapi", "--only", part, "--turns", "1", "--seconds", "1"]
        for part in ("arrange", "equal", "mixed")
    ),
]


def main() -> int:
    """See the module; ends with 1 if any of them did."""
    environments = sys.argv[1] if len(sys.argv) > 1 else None
    commands = SERVING + [[*command, "--environments", environments] for command in PEERS if environments]
    failed = []
    for command in commands:
        print("$ python -m", *command, flush=True)
        if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            failed.append(" ".join(command))
    print("failed: " + "; ".join(failed) if failed else "all ran")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
