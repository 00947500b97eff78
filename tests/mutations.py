"""Bytes that are damaged as files and messages are, and as attackers damage them: mostly near the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def mutated(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bytes with a few of them changed, and perhaps a stretch removed, doubled, blanked, repeated or cut off.

    Args:
        random: decides what is done.
        data: what to change; where it is empty, a few bytes are made up.
        others: files whose ends may take the place of its own.
    """
    result = bytearray(data)
    if not result:
        return bytes(random.randrange(256) for _ in range(random.randrange(20)))
    reach = min(len(result), random.choice((16, 64, 512, len(result))))
    for _ in range(random.choice((0, 1, 1, 2, 4, 16))):
        result[random.randrange(reach)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    start = random.randrange(reach)
    stretch = slice(start, start + random.choice((1, 2, 4, 8, 64)))
    match random.choice(("none", "none", "remove", "double", "blank", "cut", "splice", "repeat")):
        case "remove":
            del result[stretch]
        case "double":
            result[start:start] = result[stretch]
        case "blank":
            result[stretch] = b"\xff" * len(result[stretch])
        case "cut":
            del result[start:]
        case "splice":
            other = random.choice(others)
            result[start:] = other[random.randrange(len(other)) :]
        case "repeat":
            result[start:start] = bytes(result[stretch]) * random.choice((10, 100))
    return bytes(result)
