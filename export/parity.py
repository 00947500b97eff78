"""Compare every model of a repository with its network again: `python -m export.parity`, which is `make parity`.

Every size of the committed reports is measured, including 400x600; the reports (`<model>/<version>/parity.json`, each
bound to its model file by a hash) are rewritten. The exit status is 1 if a model file is not the one in its manifest,
or does not compute the same as its network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export._parity import ParityError
from export._records import MANIFEST, records
from export._repository import changed_files, remeasure


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m export.parity", description="Compare models with their networks."
    )
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    arguments = parser.parse_args()
    failures = [line for line in changed_files(arguments.repository) if MANIFEST in line]
    for record in records(arguments.repository):
        try:
            print(f"{record.file}: at most {remeasure(record).worst}", flush=True)
        except (ParityError, FileNotFoundError) as error:
            failures.append(str(error))
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
