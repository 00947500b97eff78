"""Rewrite the cards of a model repository: `python -m export.card [MODEL ...] [--scores evaluation.json]`.

Cards, NOTICEs and config.pbtxt are made from the version folders and from `families/*.toml`; nothing is measured or
exported again. With `--scores`, the evaluation is first stored beside the named models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from export._repository import write_cards


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m export.card", description="Rewrite cards and configurations.")
    parser.add_argument("models", nargs="*", help="names of models; all if none is named")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--scores", type=Path, help="evaluation.json of `nightlift evaluate`")
    arguments = parser.parse_args()
    for record in write_cards(arguments.repository, arguments.models, arguments.scores):
        print(record.folder.parent / "MODEL_CARD.md")


if __name__ == "__main__":
    main()
