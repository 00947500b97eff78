"""What the commands of this package that measure models have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def model_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments `--repository` and `--threads`; add `models` where it belongs among the others."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--threads", type=int)
    return parser


def exit_code(work: Callable[[], None]) -> int:
    """Do the work; 0, or 2 with a message on standard error if data or models are missing or cannot be used."""
    try:
        work()
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0
