"""Reads TIFF layouts that no decoder supports, by presenting their data in a layout that decoders do support.

Pillow's libtiff decodes every compression, but 16 bits only in a single channel, and no channels in separate planes.
So a second directory describes the same strips or tiles as one wide grey picture, and prediction between pixels,
whose distance differs there, is undone here. With compression by other picture formats (WebP, PNG, JPEG 2000), each
strip or tile is a separate file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from service.errors import UnreadablePicture
from service.pictures._codecs import _pillow, _webp
from service.pictures._codecs._png_chunks import bare_picture
from service.pictures._codecs._tiff_tags import (
    BITS,
    COMPRESSION,
    FILL_ORDER,
    HEIGHT,
    HORIZONTAL,
    IN_PLANES,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_SIZES,
    TILE_WIDTH,
    WIDTH,
)
from service.pictures._directories import (
    BYTE,
    LONG,
    SHORT,
    Directory,
    Tags,
    Value,
    write_directory,
    write_header,
)
from service.pictures._formats import PictureFormat

_MAX_FILES = 20_000
"""Strips or tiles that are files of their own: opening one takes a tenth of a millisecond, however small it is."""

_MAX_SHARE = 2
"""How often all bytes of the file may be part of a strip or a tile: some writers let equal tiles lie in one place."""

_INTEGERS = {BYTE: "u1", SHORT: "u2", LONG: "u4"}

OF_NUMBERS = {1, 5, 8, 32773, 32946, 34925, 50000}
"""Compressions that know nothing of colour: none, LZW, deflate, PackBits, deflate, LZMA, Zstandard."""


def check_parts(data: bytes, directory: Directory) -> None:
    """Refuse strips or tiles that lie over each other again and again: all bytes of each are read, and some copied.

    Raises:
        UnreadablePicture: together they are more than `_MAX_SHARE` times as large as the file, or it is not clear how
            large they are.
    """
    tags = {int.from_bytes(record[:2], directory.order) for record in directory.records()}
    # Decoders take either tag, whatever the picture is made of.
    for tag in {STRIP_SIZES, TILE_SIZES} & tags:
        entry = directory.entries.get(tag)
        if entry is None or entry.type not in _INTEGERS:
            raise UnreadablePicture(
                f"The TIFF's tag {tag}, the sizes of its strips or tiles, cannot be read; it must be of type SHORT "
                "or LONG and lie inside of the file."
            )
        order = "<" if directory.order == "little" else ">"
        sizes = np.frombuffer(directory.raw(tag) or b"", order + _INTEGERS[entry.type])
        total = int(sizes.sum(dtype=np.uint64))
        if len(sizes) > 1 and total > _MAX_SHARE * len(data):
            raise UnreadablePicture(
                f"The TIFF has strips or tiles of {total} bytes together, but the file has {len(data)}; "
                f"at most {_MAX_SHARE} times as many are allowed."
            )


def read_numbers(data: bytes, directory: Directory, bits: int) -> np.ndarray:
    """The samples as they are stored, uint8 or uint16 [H, W, samples].

    Raises:
        ValueError or OSError: the compression is none of `OF_NUMBERS`, or the data are damaged.
    """
    width, count = directory.integer(WIDTH), directory.integer(SAMPLES, 1)
    if directory.integer(COMPRESSION, 1) not in OF_NUMBERS:
        raise ValueError("the compression is one of colours")
    if directory.integer(PLANAR, 1) == IN_PLANES and count > 1:
        return np.dstack([_read_plane(data, directory, bits, 1, (part, count)) for part in range(count)])
    return _read_plane(data, directory, bits, count, (0, 1)).reshape(-1, width, count)


def _read_plane(data: bytes, directory: Directory, bits: int, step: int, part: tuple[int, int]) -> np.ndarray:
    """The strips or tiles of one plane as one channel: [H, W * step], for pixels of `step` samples."""
    is_tiled = bool(directory.integer(TILE_WIDTH))
    offsets, sizes = (TILE_OFFSETS, TILE_SIZES) if is_tiled else (STRIP_OFFSETS, STRIP_SIZES)

    def number(value: int) -> Value:
        return Value(LONG, 1, value.to_bytes(4, directory.order))

    tags: dict[int, Value | Tags] = {
        WIDTH: number(directory.integer(WIDTH) * step),
        HEIGHT: number(directory.integer(HEIGHT)),
        BITS: Value(SHORT, 1, bits.to_bytes(2, directory.order)),
        COMPRESSION: number(directory.integer(COMPRESSION, 1)),
        PHOTOMETRIC: number(1),
        SAMPLES: number(1),
        PREDICTOR: number(1),
        offsets: _share(directory, offsets, *part),
    }
    if sizes in directory.entries:
        tags[sizes] = _share(directory, sizes, *part)
    if FILL_ORDER in directory.entries:
        tags[FILL_ORDER] = directory.value(FILL_ORDER)
    if is_tiled:
        tags[TILE_WIDTH] = number(directory.integer(TILE_WIDTH) * step)
        tags[TILE_HEIGHT] = number(directory.integer(TILE_HEIGHT))
    else:
        tags[ROWS_PER_STRIP] = number(directory.integer(ROWS_PER_STRIP, directory.integer(HEIGHT)))
    position = len(data) + len(data) % 2
    file = b"".join(
        (
            write_header(directory.order, position),
            memoryview(data)[8:],
            bytes(position - len(data)),
            write_directory(tags, directory.order, position),
        )
    )
    is_predicted = directory.integer(PREDICTOR, 1) == HORIZONTAL
    samples = (np.array if is_predicted else np.asarray)(_pillow.open_image(file, PictureFormat.TIFF))
    if samples.dtype.kind != "u" or 8 * samples.itemsize != bits:
        raise ValueError(f"Pillow gave {samples.dtype}")
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if is_predicted:
        _undo_prediction(samples, step, directory.integer(TILE_WIDTH) * step or samples.shape[1])
    return samples


def _share(directory: Directory, tag: int, part: int, parts: int) -> Value:
    """The values of one of several planes, which lie one after the other."""
    value = directory.value(tag)
    count = value.count // parts
    size = len(value.raw) // max(value.count, 1) * count
    return Value(value.type, count, value.raw[part * size : (part + 1) * size])


def _undo_prediction(samples: np.ndarray, step: int, block: int) -> None:
    """Add up differences along the rows, channel by channel, from the left edge of every tile (section 14)."""
    for left in range(0, samples.shape[1], block):
        part = samples[:, left : left + block]
        for channel in range(step):
            np.cumsum(part[:, channel::step], axis=1, dtype=samples.dtype, out=part[:, channel::step])


def read_files(data: bytes, directory: Directory) -> np.ndarray:
    """The samples of a TIFF whose strips or tiles are pictures of another format, uint8 [H, W, C] or [H, W].

    Raises:
        ValueError or OSError: a part is damaged, or has another size than the TIFF says.
    """
    decode = FILES[directory.integer(COMPRESSION)]
    height, width = directory.integer(HEIGHT), directory.integer(WIDTH)
    result: np.ndarray | None = None
    for top, left, rows, columns, (start, size) in _parts(directory, height, width):
        pixels = decode(data[start : start + size], rows, columns)
        if result is None:
            result = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
        shown = result[top : top + rows, left : left + columns]
        shown[...] = pixels[: shown.shape[0], : shown.shape[1]].reshape(shown.shape)
    if result is None:
        raise ValueError("there are no strips")
    return result


def _parts(directory: Directory, height: int, width: int) -> Iterator[tuple[int, int, int, int, tuple[int, int]]]:
    """Top, left, rows and columns of every strip or tile, and where it lies."""
    is_tiled = bool(directory.integer(TILE_WIDTH))
    columns = directory.integer(TILE_WIDTH) if is_tiled else width
    rows = directory.integer(TILE_HEIGHT) if is_tiled else min(directory.integer(ROWS_PER_STRIP, height), height)
    offsets, sizes = (TILE_OFFSETS, TILE_SIZES) if is_tiled else (STRIP_OFFSETS, STRIP_SIZES)
    if -(-height // max(rows, 1)) * -(-width // max(columns, 1)) > _MAX_FILES:
        raise UnreadablePicture(
            f"The TIFF has more than {_MAX_FILES} strips or tiles that are files of their own; make them larger."
        )
    places = zip(
        directory.integers(offsets, most=_MAX_FILES), directory.integers(sizes, most=_MAX_FILES), strict=False
    )
    for top in range(0, height, max(rows, 1)):
        for left in range(0, width, max(columns, 1)):
            place = next(places, None)
            if place is None:
                raise ValueError("there are fewer strips than the picture has")
            yield top, left, rows if is_tiled else min(rows, height - top), columns, place


def _by_webp(file: bytes, rows: int, columns: int) -> np.ndarray:
    header = _webp.read_header(file)
    _check(header.stored_width, header.stored_height, rows, columns)
    samples = _webp.read_pixels(file, header)
    return samples.color if samples.alpha is None else np.dstack((samples.color, samples.alpha))


def _by_png(file: bytes, rows: int, columns: int) -> np.ndarray:
    return _by_pillow("PNG", bare_picture(file)[0], rows, columns)


def _by_jpeg_2000(file: bytes, rows: int, columns: int) -> np.ndarray:
    return _by_pillow("JPEG2000", file, rows, columns)


def _by_pillow(format: str, file: bytes, rows: int, columns: int) -> np.ndarray:
    image = Image.open(io.BytesIO(file), formats=[format])
    _check(*image.size, rows, columns)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(f"a part of mode {image.mode}")
    return np.asarray(image)


def _check(width: int, height: int, rows: int, columns: int) -> None:
    if (height, width) != (rows, columns):
        raise ValueError(f"a part of {width}x{height} where {columns}x{rows} should be")


FILES: dict[int, Callable[[bytes, int, int], np.ndarray]] = {
    33005: _by_jpeg_2000,
    34712: _by_jpeg_2000,
    34933: _by_png,
    50001: _by_webp,
}
"""Compressions by another picture format -> what decodes a strip or a tile of it."""
