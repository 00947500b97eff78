"""Gather what the site shows: the documents, the pages that they link to, and the files beside.

    python -m docs.make_site        fills build/site-source, from which `mkdocs build` makes the site

The site has the same folders as the repository, so that links need no rewriting. Links to folders, which a site does
not have, keep only their text. What GitHub's Markdown allows and MkDocs' does not is rewritten: `file=` in the first
line of a code block, list items indented by less than four spaces, and no empty line after an item's last paragraph.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "site-source"
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/*.md",
    "model_repository/*/MODEL_CARD.md",
)
FILE_OF_BLOCK = re.compile(r"^(```\w+) file=(\S+)$", re.MULTILINE)
LIST_MARKER = re.compile(r"(-|\d+\.) +")
LIST_INDENT = 4
"""Spaces by which Python-Markdown wants what belongs to a list item."""
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
ELSEWHERE = re.compile(r"[a-z]+:")


def main() -> None:
    """Write the folder, replacing what was there.

    Raises:
        FileNotFoundError: a page links to what is not there; the message names both.
    """
    shutil.rmtree(TARGET, ignore_errors=True)
    pages = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for file in linked_files(page, text):
            if file not in pages:
                _copied(file).write_bytes(file.read_bytes())
        _copied(page).write_text(in_mkdocs_dialect(without_folder_links(page, text)), encoding="utf-8")
    print(f"{TARGET}: {len(pages)} pages")


def linked_files(page: Path, text: str) -> Iterator[Path]:
    """Files of the repository that a page links to or shows."""
    for link in LINK.finditer(text):
        target = _target(page, link)
        if target is not None and target.is_file():
            yield target


def without_folder_links(page: Path, text: str) -> str:
    """The page with links to folders as plain text."""

    def plain(link: re.Match[str]) -> str:
        target = _target(page, link)
        return link["text"] if target is not None and target.is_dir() else link[0]

    return LINK.sub(plain, text)


def in_mkdocs_dialect(text: str) -> str:
    """The page with names of files as titles of code blocks, and with list items indented by four spaces."""
    lines: list[str] = []
    width = 0  # of the list marker that the current line belongs to; 0 outside lists
    in_code = has_paragraphs = False
    for line in FILE_OF_BLOCK.sub(r'\1 title="\2"', text).split("\n"):
        in_code ^= line.startswith("```")
        marker = LIST_MARKER.match(line)
        if marker and not in_code:
            if has_paragraphs and lines[-1]:
                lines.append("")
            width, has_paragraphs = marker.end(), False
        elif not line:
            has_paragraphs = width > 0
        elif not line.startswith(" " * width):
            width = 0
        continued = width and line and not marker
        lines.append(" " * LIST_INDENT + line[width:] if continued else line)
    return "\n".join(lines)


def _target(page: Path, link: re.Match[str]) -> Path | None:
    """What a link names in the repository; None for other sites."""
    if ELSEWHERE.match(link["target"]):
        return None
    target = (page.parent / link["target"]).resolve()
    if not target.is_relative_to(ROOT) or not target.exists():
        raise FileNotFoundError(f"{page.relative_to(ROOT)} links to {link['target']}, which is not there")
    return target


def _copied(path: Path) -> Path:
    to = TARGET / path.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    return to


if __name__ == "__main__":
    main()
