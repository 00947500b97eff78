"""Compares a built file with its network: pictures directly, maps and corrections by their effect on pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export._graphs import Graph, build_graph
from export._map_model import EvidencePixelModel, MapModel
from export._parity import Parity, Pixels, Run, measure, onnx_runner, onnx_session, torch_runner, torchscript_runner
from export._restorer_model import RestorerModel
from service.contract import (
    AFFINE,
    ANSWER,
    BRIGHTNESS,
    CORRECTION,
    EVIDENCE,
    EXPOSURE,
    IMAGE,
    PROXY,
    RESTORER_MULTIPLE,
)
from training.checkpoints import load_torchscript
from training.networks import NetworkSpec

Arrays = Mapping[str, NDArray[np.float32]]
Maps = Callable[[Arrays], Arrays]
"""`proxy`, `evidence` and `exposure` -> `affine` and `brightness`."""

Corrections = Callable[[Pixels, Pixels], NDArray[np.float32]]
"""`answer` and `image` -> `correction`."""

LARGEST_GUESS = 0.02
"""Largest difference of a guessed brightness, in stops, that may be served."""


def compare(
    content: bytes,
    format: str,
    graph: Graph,
    network: nn.Module,
    spec: NetworkSpec,
    sizes: Sequence[tuple[int, int]],
) -> Parity:
    """Measure a file's content against its network in torch at each (height, width).

    Args:
        content: of a `model.onnx` or a `model.pt`.
        format: `onnx` or `torchscript`.
        graph: which of the network's graphs it is.
        network: in `eval` mode, on the CPU.
        spec: its description.
        sizes: of pictures.

    Raises:
        ValueError: a map model guesses another brightness than the network.
    """
    model = build_graph(network, spec, graph)
    if isinstance(model, RestorerModel):
        corrections = onnx_corrections(content) if format == "onnx" else torch_corrections(load_torchscript(content))
        return measure(corrected(torch_corrections(model)), corrected(corrections), sizes)
    if isinstance(model, MapModel):
        pictures, reference = EvidencePixelModel(network, spec).eval(), torch_maps(model)
        exported = onnx_maps(content) if format == "onnx" else torch_maps(load_torchscript(content))
        return measure(rendered(pictures, reference), rendered(pictures, checked(exported, reference)), sizes)
    run: Run = onnx_runner(content) if format == "onnx" else torchscript_runner(content)
    return measure(torch_runner(model), run, sizes)


def rendered(pictures: EvidencePixelModel, maps: Maps) -> Run:
    """Maps as a function of pictures, so that they are compared by their effect, in code values.

    torch makes proxy and evidence and applies the map; each picture has its own exposure (`stops_of`).
    """

    def run(batch: Pixels) -> Pixels:
        image = torch.from_numpy(batch)
        with torch.inference_mode():
            proxy, hidden = (part.permute(0, 2, 3, 1).contiguous().numpy() for part in pictures.before(image))
            answer = maps({PROXY: proxy, EVIDENCE: hidden, EXPOSURE: stops_of(batch)})
            result: Pixels = pictures.picture(torch.from_numpy(answer[AFFINE]).permute(0, 3, 1, 2), image).numpy()
        return result

    return run


def stops_of(batch: Pixels) -> NDArray[np.float32]:
    """Exposures from -2 to 2 that depend on nothing but each picture: uint8 [N, H, W, 3] -> float32 [N, 1]."""
    return (batch.mean(axis=(1, 2, 3), dtype=np.float64)[:, None] * 4 / 255 - 2).astype(np.float32)


def corrected(corrections: Corrections) -> Run:
    """Corrections as a function of pictures, so that they are compared by their effect, in code values.

    The answer is the picture at twice the brightness. Both are padded by replication to sides that a restorer takes.
    """

    def run(batch: Pixels) -> Pixels:
        height, width = batch.shape[1:3]
        more = [(0, 0), (0, -height % RESTORER_MULTIPLE), (0, -width % RESTORER_MULTIPLE), (0, 0)]
        image = np.pad(batch, more, mode="edge")
        answer = np.minimum(2 * image.astype(np.uint16), 255).astype(np.uint8)
        restored = answer + 255 * corrections(answer, image)
        return np.rint(np.clip(restored, 0, 255)).astype(np.uint8)[:, :height, :width]

    return run


def torch_corrections(model: nn.Module) -> Corrections:
    """A restorer, or one that was scripted, run by torch on the CPU."""

    def run(answer: Pixels, image: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = model(torch.from_numpy(answer), torch.from_numpy(image)).numpy()
        return result

    return run


def onnx_corrections(content: bytes) -> Corrections:
    """The content of a restorer's `model.onnx`, run by ONNX Runtime on the CPU."""
    session = onnx_session(content)

    def run(answer: Pixels, image: Pixels) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run([CORRECTION], {ANSWER: answer, IMAGE: image})[0]
        return result

    return run


def checked(maps: Maps, reference: Maps) -> Maps:
    """Maps whose guesses are compared with others' on the way."""

    def run(inputs: Arrays) -> Arrays:
        answer, expected = maps(inputs), reference(inputs)
        apart = float(np.abs(answer[BRIGHTNESS] - expected[BRIGHTNESS]).max())
        if not apart <= LARGEST_GUESS:
            raise ValueError(f"{BRIGHTNESS} differs by {apart:.3g} stops; at most {LARGEST_GUESS} may be served")
        return answer

    return run


def torch_maps(model: nn.Module) -> Maps:
    """A map model, or one that was scripted, run by torch on the CPU."""

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            answers = model(*(torch.from_numpy(inputs[name]) for name in MapModel.inputs))
        return {name: answer.numpy() for name, answer in zip(MapModel.outputs, answers, strict=True)}

    return run


def onnx_maps(content: bytes) -> Maps:
    """The content of a map model's `model.onnx`, run by ONNX Runtime on the CPU."""
    session = onnx_session(content)
    return lambda inputs: dict(zip(MapModel.outputs, session.run(list(MapModel.outputs), dict(inputs)), strict=True))
