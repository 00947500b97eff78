"""XMP, IPTC and print resolution: kept from format to format, without the place unless that is asked for."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from service.pictures import WRITTEN_FORMATS, Metadata, PictureFormat, decode, encode, inspect
from service.pictures._exif import without_location
from service.pictures._iptc import from_resources
from service.pictures._iptc import kept as kept_iptc
from service.pictures._xmp import kept as kept_xmp
from tests.service.pictures.files import (
    XMP,
    color_pixels,
    exif_block,
    iptc_block,
    iptc_resources,
    pillow_file,
    png_chunk,
    png_file,
    tiff_file,
    with_segment,
)

JPEG, PNG, WEBP, AVIF, TIFF = WRITTEN_FORMATS
PLACES = (26, 27, 90, 92, 95, 100, 101)
IPTC = iptc_block(*PLACES)


def photo() -> bytes:
    file = pillow_file(color_pixels(), "JPEG", xmp=XMP, dpi=(300, 150), exif=exif_block())
    return with_segment(file, iptc_resources(IPTC))


def xmp_of(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).info.get("xmp", b"")


@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_xmp_is_kept_without_the_place(format: PictureFormat) -> None:
    picture = decode(photo())
    packet = xmp_of(encode(picture, format=format))
    ElementTree.fromstring(packet.decode())
    for kept in (b"xmp:Rating='4'", "© Nightlift".encode(), b"<rdf:li>night</rdf:li>"):
        assert kept in packet
    for gone in (b"Stock", b"59", b"GPS", b"photoshop:Country", b"hdrgm:Version", b"tiff:Orientation"):
        assert gone not in packet, gone
    with_location = xmp_of(encode(picture, format=format, metadata=Metadata.KEEP))
    for place in (b"Stock>holm", b"59,19.55N", b"drone:GpsLatitude", b"<photoshop:Country/>", b"<ext:City>Stockholm"):
        assert place in with_location, place
    assert b"hdrgm:Version" not in with_location
    assert not xmp_of(encode(picture, format=format, metadata=Metadata.STRIP))


@pytest.mark.parametrize("format", [JPEG, PNG, TIFF])
def test_iptc_is_kept_without_the_place(format: PictureFormat) -> None:
    picture = decode(photo())
    assert picture.iptc == IPTC
    assert inspect(encode(picture, format=format)).iptc == iptc_block()
    assert inspect(encode(picture, format=format, metadata=Metadata.KEEP)).iptc == IPTC
    assert inspect(encode(picture, format=format, metadata=Metadata.STRIP)).iptc is None


def test_pillow_finds_iptc_where_it_belongs() -> None:
    picture = decode(photo())
    image = Image.open(io.BytesIO(encode(picture, format=JPEG)))
    assert image.info["photoshop"][0x0404] == iptc_block()
    image = Image.open(io.BytesIO(encode(picture, format=TIFF)))
    assert bytes(image.tag_v2[33723]) == iptc_block()


@pytest.mark.parametrize("format", [JPEG, PNG, TIFF])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
def test_print_resolution_is_kept(source: str, format: PictureFormat) -> None:
    picture = decode(pillow_file(color_pixels(), source, dpi=(300, 150)))
    image = Image.open(io.BytesIO(encode(picture, format=format)))
    assert tuple(map(float, image.info["dpi"])) == pytest.approx((300, 150), abs=0.02)
    again = decode(encode(decode(encode(picture, format=format)), format=format))
    assert again.density == pytest.approx((300, 150), abs=0.02)
    assert decode(encode(picture, format=format, metadata=Metadata.STRIP)).density is None


def test_print_resolution_of_exif_and_of_centimetres() -> None:
    exif = Image.Exif()
    exif[0x011A] = exif[0x011B] = TiffImagePlugin.IFDRational(118, 1)
    exif[0x0128] = 3
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert decode(pillow_file(color_pixels(), "PNG", exif=block)).density == pytest.approx((299.72, 299.72))
    file = bytearray(pillow_file(color_pixels(), "JPEG", dpi=(118, 118)))
    file[13] = 2
    assert decode(bytes(file)).density == pytest.approx((299.72, 299.72))


def test_print_resolution_turns_with_the_picture() -> None:
    assert decode(pillow_file(color_pixels(), "JPEG", dpi=(300, 150), exif=exif_block(6))).density == (150, 300)


@pytest.mark.parametrize("file", [pillow_file(color_pixels(), "JPEG"), png_file(color_pixels(), 2)])
def test_square_pixels_are_no_resolution(file: bytes) -> None:
    assert decode(file).density is None
    aspect = png_file(color_pixels(), 2, chunks=(png_chunk(b"pHYs", bytes(3) + b"\2" + bytes(3) + b"\1\0"),))
    assert decode(aspect).density is None


def test_png_keeps_what_lies_behind_its_pixels() -> None:
    file = png_file(color_pixels(), 2)
    end = png_chunk(b"IEND", b"")
    late = png_chunk(b"eXIf", exif_block(6)) + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    picture = decode(file.removesuffix(end) + late + end)
    assert picture.pixels.shape == (72, 48, 3)
    assert Image.open(io.BytesIO(encode(picture, format=PNG))).getexif()[0x010F] == "Nightlift Optical"
    assert b"xmp:Rating" in (picture.xmp or b"")


def test_exif_and_iptc_of_imagemagick_s_png() -> None:
    def text(name: bytes, block: bytes) -> bytes:
        body = b"\n%b\n%8d\n%b\n" % (name, len(block), block.hex().encode())
        return png_chunk(b"tEXt", b"Raw profile type " + name + b"\0" + body)

    chunks = (text(b"exif", b"Exif\0\0" + exif_block(6)), text(b"iptc", iptc_resources(IPTC)[4:]))
    picture = decode(png_file(color_pixels(), 2, chunks=chunks))
    assert picture.pixels.shape == (72, 48, 3)
    assert picture.iptc == IPTC


def test_blocks_inside_of_exif_do_not_tell_the_place() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x02BC], exif[0x83BB] = "Nightlift Optical", XMP, IPTC
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert b"Stockholm" in block
    after = without_location(block)
    assert after is not None
    assert b"Stock" not in after
    assert b"Nightlift Optical" in after


def test_photoshop_s_resources_in_tiff() -> None:
    resources = iptc_resources(IPTC)[4:].removeprefix(b"Photoshop 3.0\0")
    file = tiff_file(color_pixels(), photometric="rgb", extratags=[(34377, 7, len(resources), resources, True)])
    assert decode(file).iptc == IPTC


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no XML",
        XMP.replace(b"</x:xmpmeta>", b""),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + XMP,
        XMP.decode().encode("utf-16"),
        b"<a>" + b" " * 600_000 + b"</a>",
    ],
    ids=["empty", "text", "torn", "document type", "utf-16", "large"],
)
def test_packets_that_are_not_sound_go(packet: bytes) -> None:
    assert kept_xmp(packet, with_location=False) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"<a xmlns:g='u'>" + b"<g:City/>" * 50_000 + b"</a>",
        b"<a xmlns:g='u' " + b" ".join(b"g:gps%d=''" % i for i in range(30_000)) + b"/>",
        b"<a xmlns:g='u'>" + b"<b g:city=''/>" * 30_000 + b"</a>",
        b"<a>" * 60_000 + b"</a>" * 60_000,
        b"<a xmlns:g='u' g:city=''" + b" " * 500_000 + b"/>",
        b"<a " + b"xmlns" * 100_000 + b"=''/>",
        b"<a" + b"".join(b" xmlns:u%d='%b'" % (i, b"u" * 256) for i in range(1850)) + b"/>",
        b"<g:a xmlns:g='%b'>" % (b"u" * 256) + b"<g:b/>" * 80_000 + b"</g:a>",
    ],
    ids=["elements", "attributes", "tags", "depth", "space", "names", "namespaces", "long namespace"],
)
def test_packets_made_to_harm_cost_little(packet: bytes) -> None:
    start = time.process_time()
    kept_xmp(packet, with_location=False)
    assert time.process_time() - start < 1.5


NAMESPACE = b"u" * 64_000
NAMES = [b"n%d" % i for i in range(2000)]


@pytest.mark.parametrize(
    "packet",
    [
        b"<a xmlns='%b'>" % NAMESPACE + b"".join(b"<%b/>" % name for name in NAMES) + b"</a>",
        b'<a><b xmlns = \n"%b">' % NAMESPACE + b"".join(b"<%b/>" % name for name in NAMES) + b"</b></a>",
        b"<a xmlns:u='%b' %b/>" % (NAMESPACE, b" ".join(b"u:%b=''" % name for name in NAMES)),
        b"<!DOCTYPE a [<!ENTITY u '%b'>]><a xmlns='&u;'>" % NAMESPACE
        + b"".join(b"<%b/>" % name for name in NAMES)
        + b"</a>",
        (f"<a xmlns='{'u' * 64_000}'>" + "".join(f"<n{i}/>" for i in range(2000)) + "</a>").encode("utf-16-le"),
    ],
    ids=["elements", "spaces", "attributes", "entity", "utf-16"],
)
def test_long_namespaces_are_not_put_before_every_name(packet: bytes) -> None:
    tracemalloc.start()
    try:
        assert kept_xmp(packet, with_location=True) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("length", [100, 256])
def test_namespaces_of_usual_length_are_kept(length: int) -> None:
    packet = b"<a xmlns:u='%b'><u:b/></a>" % (b"u" * length)
    assert kept_xmp(packet, with_location=True) == packet


LARGE = {"xmp": 600_000, "iptc": 300_000, "icc": 5_000_000}


@pytest.mark.parametrize("kind", LARGE)
def test_what_is_too_large_to_be_used_is_not_kept_beside_the_file(kind: str) -> None:
    block = b"x" * LARGE[kind]
    tag = {"xmp": 700, "iptc": 33723, "icc": 34675}[kind]
    file = tiff_file(color_pixels(), photometric="rgb", extratags=[(tag, 7, len(block), block, True)])
    assert getattr(inspect(file), kind) is None
    small = tiff_file(color_pixels(), photometric="rgb", extratags=[(tag, 7, 1000, block[:1000], True)])
    assert getattr(inspect(small), kind) == block[:1000]


def test_large_packets_of_webp_are_not_kept_beside_the_file() -> None:
    assert inspect(pillow_file(color_pixels(), "WEBP", xmp=b"x" * 600_000)).xmp is None
    assert inspect(pillow_file(color_pixels(), "WEBP", xmp=XMP)).xmp == XMP


def test_cut_packets_keep_every_other_byte() -> None:
    before, after = b"<a xmlns:g='u'", b" g:name='n'>\n "
    rest = b"\t<g:name><!-- c --></g:name></a> "
    packet = before + b' g:city = "x>y"' + after + b"<g:City>x<b/></g:City><g:City/>" + rest
    assert kept_xmp(packet, with_location=True) == packet
    assert kept_xmp(packet, with_location=False) == before + after + rest


def test_iptc_that_is_torn_keeps_what_is_whole() -> None:
    assert kept_iptc(IPTC + b"\x1c\x02\x78\x10\x00torn", with_location=True) == IPTC
    assert kept_iptc(b"none", with_location=True) is None
    extended = b"\x1c\x02\x5a\x80\x04\x00\x00\x00\x09Stockholm"
    assert kept_iptc(extended + iptc_block(), with_location=False) == iptc_block()


def test_the_gain_map_of_an_ultra_hdr_picture_is_dropped_with_all_that_names_it() -> None:
    base = pillow_file(color_pixels(), "JPEG", xmp=XMP)
    file = base + pillow_file(color_pixels()[::4, ::4], "JPEG")
    picture = decode(file)
    assert np.array_equal(picture.pixels, decode(base).pixels)
    answer = encode(picture, format=JPEG, metadata=Metadata.KEEP)
    assert answer.count(b"\xff\xd8\xff") == 1
    assert b"hdrgm:Version" not in answer


def test_iptc_is_found_behind_an_empty_block_and_other_programs_resources() -> None:
    def resource(signature: bytes, kind: int, content: bytes) -> bytes:
        return signature + struct.pack(">HHI", kind, 0, len(content)) + content + bytes(len(content) % 2)

    others = resource(b"AgHg", 0x0404 + 1, b"abc") + resource(b"8BIM", 0x0404, b"")
    assert from_resources(others + resource(b"8BIM", 0x0404, b"words")) == b"words"
    assert from_resources(others) is None


def test_the_print_resolution_of_a_bmp_is_kept() -> None:
    answer = encode(decode(pillow_file(color_pixels(), "BMP", dpi=(300, 150))), format=PictureFormat.PNG)
    assert Image.open(io.BytesIO(answer)).info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_zero_behind_a_packet_does_no_harm() -> None:
    assert kept_xmp(XMP + b"\0", with_location=False) == kept_xmp(XMP, with_location=False) is not None
