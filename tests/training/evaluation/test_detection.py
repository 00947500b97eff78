"""The downstream check, on a made ExDark and a detector made here that finds bright squares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from nightlift.cli import app
from tests.detectors import BRIGHT_ENOUGH, blue_square_detector, bright_square_detector
from tests.pictures import encoded
from training import networks
from training.checkpoints import save_checkpoint
from training.datasets import boxes
from training.datasets.exdark import Labelled, LabelledPicture, read_exdark, read_objects
from training.evaluation._detector import Detection, Detector
from training.evaluation._detector_conventions import centred, convention_of, in_corner
from training.evaluation.detection import compare_detections, evaluate_detector, precision

Pixels = NDArray[np.uint8]


def night(height: int, width: int, squares: list[tuple[int, int, int]], light: int) -> Pixels:
    """Black but for squares (left, top, side) of brightness `light`."""
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top, side in squares:
        picture[top : top + side, left : left + side] = light
    return picture


def write_exdark(root: Path, light: int = 60) -> None:
    """Three test pictures of several shapes with people, one training picture, in the publisher's layout."""
    content = {
        "2015_00001": ((64, 64), [(16, 16, 16), (48, 32, 16)], 3),
        "2015_00002": ((64, 128), [(32, 0, 32)], 3),
        "2015_00003": ((128, 64), [(0, 96, 32)], 3),
        "2015_00004": ((64, 64), [(0, 0, 16)], 1),
    }
    (root / "ExDark/People").mkdir(parents=True)
    (root / "ExDark_Annno/People").mkdir(parents=True)
    lines = ["Name | Class | Light | In/Out | Train/Val/Test"]
    for stem, (size, squares, split) in content.items():
        (root / f"ExDark/People/{stem}.JPG").write_bytes(encoded(night(*size, squares, light), "png"))
        things = [f"People {left} {top} {side} {side} 0 0 0 0 0 0 0" for left, top, side in squares]
        (root / f"ExDark_Annno/People/{stem}.jpg.txt").write_text("\n".join(["% bbGt version=3", *things]) + "\n")
        lines.append(f"{stem}.jpg 11 1 2 {split}")
    (root / "imageclasslist.txt").write_text("\n".join(lines) + "\n")


def brighten(picture: Pixels) -> Pixels:
    return np.minimum(picture.astype(np.uint16) * 4, 255).astype(np.uint8)


def test_enhancement_that_brings_objects_to_light_is_scored_above_the_plain_pictures(tmp_path: Path) -> None:
    write_exdark(tmp_path)
    detector = bright_square_detector(tmp_path / "detector.onnx")
    report = compare_detections(detector, tmp_path, brighten, threads=1)
    assert (report.pictures, report.objects) == (3, 4)
    assert report.plain.at_half == report.plain.average == 0
    assert report.enhanced.at_half == pytest.approx(1)
    assert report.enhanced.average == pytest.approx(1)  # boxes are exact through the letterbox and back
    assert report.enhanced.by_class == {"People": pytest.approx(1)}
    assert "| People | 0.0 | 100.0 | +100.0 |" in report.table()
    assert report.as_dict()["enhanced"]["at_half"] == report.enhanced.at_half


def test_enhancement_that_invents_objects_costs_precision(tmp_path: Path) -> None:
    write_exdark(tmp_path, light=255)
    detector = bright_square_detector(tmp_path / "detector.onnx")

    def floodlight(picture: Pixels) -> Pixels:
        return np.full_like(picture, 255)

    report = compare_detections(detector, tmp_path, floodlight, threads=1)
    assert report.plain.at_half == pytest.approx(1)
    assert report.enhanced.at_half < 0.5


def test_a_model_is_scored_as_it_is_served(tmp_path: Path) -> None:
    write_exdark(tmp_path)
    detector = bright_square_detector(tmp_path / "detector.onnx")
    torch.manual_seed(0)
    network = networks.create("zero_dce")
    with torch.no_grad():  # every curve at its brightest: four iterations lift .24 above the detector's threshold
        network.e_conv7.weight.zero_()
        network.e_conv7.bias.fill_(-5.0)
    save_checkpoint(
        tmp_path / "lamp.pt",
        {"network": "zero_dce", "options": {}, "state_dict": network.state_dict(), "manifest": {}},
    )
    report = evaluate_detector(
        tmp_path / "lamp.pt", detector, tmp_path, detail="whole", threads=1, out=tmp_path / "out"
    )
    assert (report.plain.at_half, report.enhanced.at_half) == (0, pytest.approx(1))
    written = json.loads((tmp_path / "out/detection.json").read_text())
    assert written["enhanced"]["at_half"] == pytest.approx(1)
    assert written["model"] == "lamp"
    assert (tmp_path / "out/detection.md").read_text().startswith("| 3 pictures, 4 objects |")
    guided = evaluate_detector(tmp_path / "lamp.pt", detector, tmp_path, threads=1)
    assert guided.enhanced.at_half > 0.5


def test_only_the_first_pictures_are_scored_where_there_is_a_limit(tmp_path: Path) -> None:
    write_exdark(tmp_path)
    detector = bright_square_detector(tmp_path / "detector.onnx")
    assert compare_detections(detector, tmp_path, brighten, limit=1, threads=1).pictures == 1


def test_the_files_class_names_are_translated(tmp_path: Path) -> None:
    names = "{0: 'person', 1: 'zebra', 2: 'dining table'}"
    file = bright_square_detector(tmp_path / "coco.onnx", classes=3, number=0, names=names)
    detector = Detector(file, threads=1)
    assert detector.labels == ["People", None, "Table"]
    (found,) = detector.detect(night(64, 64, [(16, 32, 16)], 255))
    assert found.label == "People"
    assert found.box == pytest.approx((16, 32, 16, 16))
    assert found.score == pytest.approx(2 * (1 - BRIGHT_ENOUGH))


def test_classes_that_exdark_does_not_have_are_dropped(tmp_path: Path) -> None:
    names = "{0: 'person', 1: 'zebra'}"
    file = bright_square_detector(tmp_path / "zebras.onnx", classes=2, number=1, names=names)
    assert Detector(file, threads=1).detect(night(64, 64, [(16, 32, 16)], 255)) == []


@pytest.mark.parametrize(
    ("classes", "names", "complaint"),
    [(3, None, "no metadata 'names'"), (2, "{0: 'zebra', 1: 'unicorn'}", "none of its classes")],
)
def test_a_detector_of_unknown_classes_is_refused(
    tmp_path: Path, classes: int, names: str | None, complaint: str
) -> None:
    file = bright_square_detector(tmp_path / "detector.onnx", classes=classes, number=0, names=names)
    with pytest.raises(ValueError, match=complaint):
        Detector(file, threads=1)


def test_a_network_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "nothing",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "no.onnx"
    )
    with pytest.raises(ValueError, match="one input"):
        Detector(tmp_path / "no.onnx")
    with pytest.raises(FileNotFoundError, match="there is no detector"):
        Detector(tmp_path / "nowhere.onnx")


def test_a_letterboxed_picture_keeps_its_proportions() -> None:
    canvas = centred(np.full((100, 200, 3), 250, np.uint8), 64, 64)
    assert (canvas.pixels.shape, canvas.scale, canvas.left, canvas.top) == ((64, 64, 3), 0.32, 0, 16)
    assert (canvas.pixels[:16] == 114).all()
    assert (canvas.pixels[16:48] == 250).all()
    assert (canvas.pixels[48:] == 114).all()
    canvas = in_corner(np.full((200, 100, 3), 250, np.uint8), 64, 64)
    assert (canvas.scale, canvas.left, canvas.top) == (0.32, 0, 0)
    assert (canvas.pixels[:, :32] == 250).all()
    assert (canvas.pixels[:, 32:] == 114).all()


@pytest.mark.parametrize(
    ("output", "side", "name", "classes"),
    [
        ((1, 84, 8400), 640, "YOLOv8", 80),
        ((1, 8400, 85), 640, "YOLOX", 80),
        ((1, 3549, 85), 416, "YOLOX", 80),
        ((1, 16, 3549), 416, "YOLOv8", 12),
    ],
)
def test_a_convention_is_told_by_its_shape(output: tuple[int, ...], side: int, name: str, classes: int) -> None:
    convention, count = convention_of(output, side, side)
    assert (convention.name, count) == (name, classes)


@pytest.mark.parametrize("output", [(2, 84, 8400), (1, 4, 100), (1, 84)])
def test_an_output_of_no_convention_is_refused(output: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"neither YOLOv8's \[1,4\+classes,n\] nor YOLOX's"):
        convention_of(output, 640, 640)


def test_a_yolox_detector_sees_blue_first_and_the_picture_in_the_corner(tmp_path: Path) -> None:
    detector = Detector(blue_square_detector(tmp_path / "x.onnx"), threads=1, wanted=boxes.CLASSES)
    assert (detector.convention, detector.known) == ("YOLOX", boxes.CLASSES)
    picture = np.zeros((128, 64, 3), np.uint8)  # half as large on the canvas, and grey beside it
    picture[64:96, 32:64, 2] = 255
    picture[0:32, 0:32, 0] = 255  # red is no blue
    (found,) = detector.detect(picture)
    assert (found.label, found.box) == ("person", pytest.approx((32, 64, 32, 32)))
    assert found.score == pytest.approx(2 * (1 - BRIGHT_ENOUGH))


def test_a_yolox_detector_of_coco_is_asked_for_exdarks_classes(tmp_path: Path) -> None:
    detector = Detector(
        blue_square_detector(tmp_path / "x.onnx", number=boxes.CLASSES.index("motorcycle")), threads=1
    )
    (found,) = detector.detect(night(64, 64, [(16, 32, 16)], 255))
    assert found.label == "Motorbike"
    assert len(detector.known) == 12


def test_classes_that_the_detector_does_not_know_do_not_count(tmp_path: Path) -> None:
    picture = LabelledPicture(Path("a.png"), (Labelled("person", 0, 0, 16, 16), Labelled("zebra", 16, 0, 16, 16)))
    found = [[Detection("person", (0, 0, 16, 16), 0.9)]]
    assert precision([picture], found, ("person",)).at_half == pytest.approx(1)
    assert precision([picture], found, ("person", "zebra")).at_half == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no object of a class that the detector knows"):
        precision([picture], found, ("cat",))


def test_precision_by_hand() -> None:
    def thing(left: float) -> Labelled:
        return Labelled("Cat", left, 0, 10, 10)

    def found(left: float, score: float) -> Detection:
        return Detection("Cat", (left, 0, 10, 10), score)

    picture = LabelledPicture(Path("a.png"), (thing(0), thing(50)))
    # The surest find is wrong, the next right, one object is missed: recall .5 at precision .5.
    half = precision([picture], [[found(200, 0.9), found(0, 0.8)]])
    assert half.at_half == pytest.approx(0.5 * 51 / 101)
    # A box shifted by 2 of 10 pixels overlaps by 8/12: right up to an overlap of .65.
    shifted = precision([picture], [[found(2, 0.9), found(52, 0.8)]])
    assert shifted.at_half == pytest.approx(1)
    assert shifted.average == pytest.approx(0.4)
    assert precision([picture], [[]]).at_half == 0


def test_exdarks_splits_and_objects(tmp_path: Path) -> None:
    write_exdark(tmp_path)
    assert [picture.path.stem for picture in read_exdark(tmp_path, "train")] == ["2015_00004"]
    test = read_exdark(tmp_path, "test")
    assert [picture.path.stem for picture in test] == ["2015_00001", "2015_00002", "2015_00003"]
    assert test[0].objects == (Labelled("People", 16, 16, 16, 16), Labelled("People", 48, 32, 16, 16))
    (tmp_path / "imageclasslist.txt").unlink()
    assert len(read_exdark(tmp_path, "test")) == 4


def test_what_is_missing_of_exdark_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ExDark; .* Exclusively-Dark-Image-Dataset"):
        read_exdark(tmp_path)
    write_exdark(tmp_path)
    with pytest.raises(FileNotFoundError, match="no pictures of the split 'val'"):
        read_exdark(tmp_path, "val")
    with pytest.raises(ValueError, match="choose one of train, val, test"):
        read_exdark(tmp_path, "night")
    (tmp_path / "ExDark_Annno/People/2015_00002.jpg.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"2015_00002\.JPG has no annotation"):
        read_exdark(tmp_path)


@pytest.mark.parametrize("line", ["People 1 2 3", "Unicorn 1 2 3 4 0 0", "People one 2 3 4"])
def test_a_broken_annotation_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"% bbGt version=3\n{line}\n")
    with pytest.raises(ValueError, match=r"a\.txt"):
        read_objects(file)


def test_the_command_prints_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_exdark(tmp_path)
    detector = bright_square_detector(tmp_path / "detector.onnx")
    weights = networks.create("zero_dce").state_dict()
    checkpoint = {"network": "zero_dce", "options": {}, "state_dict": weights, "manifest": {}}
    save_checkpoint(tmp_path / "new.pt", checkpoint)
    words = ["evaluate", str(tmp_path / "new.pt"), "--detector", str(detector), "--data", str(tmp_path)]
    app([*words, "--detail", "whole", "--limit", "2", "--out", str(tmp_path / "out")], standalone_mode=False)
    assert "| 2 pictures, 3 objects | plain | enhanced | gain |" in capsys.readouterr().out
    assert (tmp_path / "out/new_whole/detection.json").is_file()
