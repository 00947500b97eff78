"""Tables of measurements, the document that takes them, pictures of curves, and changed configurations."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks._photos import LARGEST, SMALLEST, mixed, pixels_of, psnr
from benchmarks._plot import plot
from benchmarks._repositories import variant
from benchmarks._tables import machine, table, write_section
from service.repository import ModelRepository
from service.settings import Settings


def test_columns_of_numbers_are_set_to_the_right() -> None:
    assert table(("server", "1/s"), [("ours", "2.5"), ("theirs", "**1.9**")]).splitlines() == [
        "| server | 1/s |",
        "| --- | ---: |",
        "| ours | 2.5 |",
        "| theirs | **1.9** |",
    ]
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        table(("a", "b"), [("1",)])


def test_the_machine_is_named_with_versions_and_revision() -> None:
    facts = machine({"Other": "1.2"})
    for part in ("cores", "Python 3.", "ONNX Runtime", "Other 1.2", "revision "):
        assert part in facts


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- measured: a -->\nold\n<!-- end -->\n<!-- measured: a b -->\n<!-- end -->\n")
    write_section(document, "a", "new\n")
    write_section(document, "a", "newer")
    expected = "before\n<!-- measured: a -->\nnewer\n<!-- end -->\n<!-- measured: a b -->\n<!-- end -->\n"
    assert document.read_text() == expected
    with pytest.raises(ValueError, match="0 places"):
        write_section(document, "c", "")


def test_curves_become_valid_svg() -> None:
    drawing = ElementTree.fromstring(plot({"rate": {"on": [(1, 2.0), (8, 4.0)], "off": [(1, 1.0)]}}, "at once"))
    lines = drawing.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in lines[0].attrib["points"].split())
    assert x1 < x2
    assert y1 > y2  # more is higher up


def test_a_variant_of_a_model_has_what_was_asked_for(tmp_path: Path) -> None:
    root = variant(Settings().model_repository, tmp_path, instances=2, threads=3, batch=4, delay=0.005)
    config = ModelRepository(root).servable("zero_dce_improved")[0].config
    assert sum(group.count for group in config.instances) == 2
    assert config.parameters["intra_op_thread_count"] == "3"
    assert config.batching.asked_for
    assert config.batching.max_batch_size == 4
    assert config.batching.max_delay == pytest.approx(0.005)


def test_mixed_photos_are_of_all_sizes_and_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks._photos.COUNT", 6)
    monkeypatch.setattr("benchmarks._photos.LARGEST", 1.0)
    files = mixed()
    assert files == mixed()
    sizes = sorted(pixels_of(file).shape[0] * pixels_of(file).shape[1] / 1e6 for file in files)
    assert sizes[0] == pytest.approx(SMALLEST, rel=0.01)
    assert sizes[-1] == pytest.approx(1.0, rel=0.01)
    assert LARGEST == 12.0
    with pytest.raises(FileNotFoundError, match="no photos"):
        mixed([tmp_path])


def test_psnr_of_a_known_difference() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr(black, black + 1) == pytest.approx(48.13, abs=0.01)
    assert psnr(black, black) == float("inf")
