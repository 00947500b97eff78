"""Make TorchScript variants of models: `python -m export.torchscript [MODEL ...] [--to FOLDER]`; `make torchscript`.

Only ONNX models and their weights (`<model>/<version>/weights.safetensors`) are committed. This makes the variant
that `nightlift export` writes beside them, `<model>_torchscript`, with its records and card, after comparing it with
its network. Existing variants stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export._copies import make_torchscript


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m export.torchscript", description="Make TorchScript variants of models from their weights."
    )
    parser.add_argument("models", nargs="*", help="names of ONNX models; all if none is named")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--to", type=Path, help="repository to write into; the same if absent")
    parser.add_argument("--overwrite", action="store_true", help="replace variants that are there")
    parser.add_argument(
        "--full-size", action=argparse.BooleanOptionalAction, default=True, help="compare with torch at 400x600 too"
    )
    arguments = parser.parse_args()
    try:
        report = make_torchscript(
            arguments.repository,
            arguments.models,
            arguments.to,
            overwrite=arguments.overwrite,
            full_size=arguments.full_size,
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
