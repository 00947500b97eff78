"""Tiny detectors that find bright squares, in both conventions: a 64x64 input in cells of 16x16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.datasets import boxes, exdark

SIDE, CELL = 64, 16
CELLS = SIDE // CELL
PEOPLE = exdark.CLASSES.index("People")
BRIGHT_ENOUGH = 0.6


def bright_square_detector(
    file: Path, *, classes: int = len(exdark.CLASSES), number: int = PEOPLE, names: str | None = None
) -> Path:
    """A detector in YOLOv8's convention; each cell is a candidate box.

    A cell's score for one class is how far its mean brightness lies above a threshold, doubled.
    """
    centres = (np.arange(CELLS, dtype=np.float32) + 0.5) * CELL
    x, y = np.meshgrid(centres, centres)
    side = np.full(CELLS**2, CELL, np.float32)
    constants = {
        "boxes": np.stack([x.ravel(), y.ravel(), side, side])[None],
        "before": np.zeros((1, number, CELLS**2), np.float32),
        "after": np.zeros((1, classes - number - 1, CELLS**2), np.float32),
        "threshold": np.float32(BRIGHT_ENOUGH),
        "two": np.float32(2),
        "row": np.array([1, 1, CELLS**2], np.int64),
        "channels": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "channels"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["cells", "row"], ["brightness"]),
        helper.make_node("Sub", ["brightness", "threshold"], ["excess"]),
        helper.make_node("Mul", ["excess", "two"], ["doubled"]),
        helper.make_node("Relu", ["doubled"], ["score"]),
        helper.make_node("Concat", ["boxes", "before", "score", "after"], ["output0"], axis=1),
    ]
    return _save(file, nodes, constants, [1, 4 + classes, CELLS**2], names)


def blue_square_detector(file: Path, *, number: int = 0, names: str | None = None) -> Path:
    """A detector of COCO's classes in YOLOX's convention, which looks at the first channel of BGR code values alone.

    Cells of stride 16 find squares as `bright_square_detector` does; those of stride 8 and 32 find nothing.
    """
    strides = np.repeat([8, 16, 32], [64, 16, 4])
    places = np.zeros((1, len(strides), 4), np.float32)
    places[..., :2] = 0.5  # the middle of the cell; e^0 strides wide and high
    scores = np.zeros((1, len(strides), len(boxes.CLASSES)), np.float32)
    scores[..., number] = 1
    constants: dict[str, NDArray[np.generic] | np.generic] = {
        "places": places,
        "scores": scores,
        "first": np.array([0], np.int64),
        "row": np.array([1, CELLS**2, 1], np.int64),
        "threshold": np.float32(BRIGHT_ENOUGH * 255),
        "share": np.float32(2 / 255),
        "finer": np.zeros((1, 64, 1), np.float32),
        "coarser": np.zeros((1, 4, 1), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["images", "first"], ["blue"], axis=1),
        helper.make_node("AveragePool", ["blue"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["cells", "row"], ["brightness"]),
        helper.make_node("Sub", ["brightness", "threshold"], ["excess"]),
        helper.make_node("Mul", ["excess", "share"], ["doubled"]),
        helper.make_node("Relu", ["doubled"], ["score"]),
        helper.make_node("Concat", ["finer", "score", "coarser"], ["objectness"], axis=1),
        helper.make_node("Concat", ["places", "objectness", "scores"], ["output"], axis=2),
    ]
    return _save(file, nodes, constants, [1, len(strides), 5 + len(boxes.CLASSES)], names)


def _save(
    file: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[np.generic] | np.generic],
    shape: list[int],
    names: str | None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if names is not None:
        helper.set_model_props(model, {"names": names})
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file
