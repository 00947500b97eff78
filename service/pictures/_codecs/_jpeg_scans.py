"""The scans of a JPEG (ITU-T T.81, annex B): how many there are, where they end, and whether they hold everything.

Files of several scans are checked before they are decoded, since every scan passes over all pixels again. Files
without an end marker, which some phones write for panoramas, are valid if their scans are complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.errors import UnreadablePicture

SOS, EOI = 0xDA, 0xD9
END = bytes([0xFF, EOI])

MAX_SCANNED_PIXELS = 1_500_000_000
"""Most pixels of all scans together: every scan passes over all of them again, 2 ns a pixel at the least."""

# A marker that ends the data of a scan: no stuffed zero, no restart, no fill byte. Fill bytes before it are not part
# of the pattern: searching for a run of them would take the square of its length.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILLED_MARKER = re.compile(rb"\xff++[^\x00\xd0-\xd7\xff]")
_FILL = b"\xff"
_FILL_STEP = 65_536
_COEFFICIENTS = 64
# Tables and comments: a hundred scans have some three hundred. The event loop waits until they are counted.
_MAX_SEGMENTS = 1000


@dataclass(frozen=True, slots=True)
class Scans:
    """What was found of a picture's scans.

    Attributes:
        count: how many there are, up to the limit that was given.
        end: where the data of the last one end.
        has_end: whether the end marker follows.
        is_torn: whether something else than a marker that has a place in files ends the last one.
        is_complete: whether they give all bits of all coefficients of all components.
    """

    count: int
    end: int
    has_end: bool
    is_torn: bool
    is_complete: bool


def find_scans(data: bytes, position: int, components: bytes, most: int) -> Scans:
    """The scans from the header of the first one on, which begins at `position` behind its marker.

    Args:
        data: the file.
        position: of the length of the first scan's header.
        components: identifiers of the frame's components.
        most: number of scans after which counting stops.

    Raises:
        UnreadablePicture: there are very many segments between them.
    """
    missing = {component: set(range(_COEFFICIENTS)) for component in components}
    count, end, kind = 0, position, SOS
    for _ in range(_MAX_SEGMENTS):
        if kind == EOI:
            return Scans(count, end, True, False, not any(missing.values()))
        size = int.from_bytes(data[position : position + 2], "big")
        behind = position + size
        if size < 2 or behind > len(data):
            break
        if kind == SOS:
            count += 1
            _note(missing, data[position + 2 : behind])
            found = _MARKER.search(data, behind)
            end = _without_fill(data, behind, found.start()) if found else len(data)
            if found is None or count >= most:
                break
            position = found.end()
        else:
            found = _FILLED_MARKER.match(data, behind)
            if found is None:
                break
            position = found.end()
        kind = data[position - 1]
        if kind not in _BETWEEN_SCANS:
            break  # behind the picture: another one, or something else without an end marker before it
    else:
        raise UnreadablePicture(f"The JPEG has more than {_MAX_SEGMENTS} segments between its scans.")
    is_torn = kind not in _BETWEEN_SCANS | _OF_OTHERS
    return Scans(count, end, False, is_torn, not any(missing.values()))


def _without_fill(data: bytes, start: int, end: int) -> int:
    """Where `data[start:end]` ends without the fill bytes at its end."""
    while end > start:
        piece = data[max(start, end - _FILL_STEP) : end]
        end -= len(piece) - len(rest := piece.rstrip(_FILL))
        if rest:
            break
    return end


_OF_OTHERS = {0xD8}  # another picture begins
# Tables, restart intervals, numbers of lines, application data, comments, the next scan, and the end.
_BETWEEN_SCANS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, SOS, EOI, *range(0xE0, 0xF0)}


def _note(missing: dict[int, set[int]], scan: bytes) -> None:
    """Take off what a scan's header says it gives in full: coefficients down to their last bit."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        return
    first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
    if low == 0:
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in missing:
                missing[component] -= set(range(first, last + 1))
