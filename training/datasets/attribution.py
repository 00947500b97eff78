"""Write ATTRIBUTION, which accompanies weights: the authors and licences of the pictures they were trained on.

    python -m training.datasets.attribution data/open > ATTRIBUTION

lists the pictures gathered in a folder; without one, the whole list of sources.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from training.datasets.open_sources import Source, gathered, read_sources

HEAD = """\
The pictures that these weights were trained on, and the held-out ones that they were chosen by. Each is under
the licence that its package names; the pictures themselves are no part of the weights. SHA-256 digests of the
original files are in training/datasets/open_sources.csv.
"""

NAMES = {"LicenseRef-public-domain": "public domain"}


def attribution(sources: Iterable[Source]) -> str:
    """The text for these sources: by licence and package, a line for each file with its author and origin."""
    groups: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.licence, source.package].append(source)
    parts = [HEAD]
    for licence, package in sorted(groups):
        rows = groups[licence, package]
        parts.append(f"{NAMES.get(licence, licence)}: {package} ({rows[0].source}), {len(rows)} files\n")
        parts[-1] += "".join(
            f"  {row.path}\n    by {row.author}; {row.link}{f'; {row.note}' if row.note else ''}\n" for row in rows
        )
    return "\n".join(parts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="that was given to `python -m training.datasets.gather`")
    folder = parser.parse_args().folder
    print(attribution(gathered(folder) if folder else read_sources()), end="")


if __name__ == "__main__":
    main()
