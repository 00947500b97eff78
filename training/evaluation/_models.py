"""Models and checkpoints to evaluate, behind one interface: uint8 pictures in, uint8 pictures out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from service.contract import AFFINE, ENHANCED, EVIDENCE, EXPOSURE, IMAGE, PROXY
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, RenderOptions, finish, plan, prepare
from service.repository import ModelRepository, ModelTraits, SpatialScope
from training import networks
from training.checkpoints import WEIGHTS, build_network, load_checkpoint, load_torchscript

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]
Inputs = Mapping[str, NDArray[Any]]
Maps = Callable[[Inputs], NDArray[np.float32]]


@dataclass(frozen=True)
class EvaluatedModel:
    """A model ready to run.

    Attributes:
        name: for tables.
        run: uint8 [N, H, W, 3] -> uint8 [N, H, W, 3].
        traits: how it may be applied to pictures.
        file: what was loaded.
        options: options of the network of this name in `networks`, where they are known.
        maps: for a network that predicts a colour map: a work item's inputs by name -> FP32 [N, h, w, K].
    """

    name: str
    run: Run
    traits: ModelTraits
    file: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    maps: Maps | None = None

    def answer(self, inputs: Inputs, output: str) -> NDArray[Any]:
        """The model's `enhanced` or `affine` for a work item's inputs."""
        return self.maps(inputs) if output == AFFINE and self.maps is not None else self.run(inputs[IMAGE])

    def render(self, picture: Pixels, detail: Detail) -> Pixels:
        """The network's effect alone, uint8 [H, W, 3] -> the same shape, as the service renders it."""
        return self.enhance(picture, replace(NEUTRAL, detail=detail))

    def served(self, picture: Pixels) -> Pixels:
        """The service's result at its default settings, uint8 [H, W, 3] -> the same shape."""
        return self.enhance(picture, RenderOptions())

    def enhance(self, picture: Pixels, options: RenderOptions) -> Pixels:
        """The service's result with these options, uint8 [H, W, 3] -> the same shape."""
        height, width = picture.shape[:2]
        prepared = prepare(Picture(picture, PictureFormat.PNG), plan(width, height, 8, self.traits, options))
        outputs = [self.answer(inputs, prepared.plan.output)[0] for inputs in prepared.inputs()]
        return finish(prepared, outputs, options).picture.pixels

    @property
    def bytes(self) -> int:
        """Size of the file, and of the weights beside it where ONNX keeps them apart."""
        beside = self.file.with_name(self.file.name + ".data")
        return self.file.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)

    @property
    def sha256(self) -> str:
        """Hash of the file, 64 hexadecimal digits."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()


def open_model(
    model: str | Path, repository: Path, *, output_gamma: bool = True, threads: int | None = None
) -> EvaluatedModel:
    """A model by its name in the repository, or a checkpoint: ours, or one as its authors published it.

    Args:
        model: name in the repository, or path of a file.
        repository: the model repository.
        output_gamma: whether a checkpoint's results get the gamma with which the network is served. An exported file
            has it inside.
        threads: CPU threads, torch's for the whole process; None: one a core.

    Raises:
        FileNotFoundError: there is neither such a model nor such a file, or its map model is not there.
        ValueError: the file is neither; or the network does not take pictures.
    """
    if threads:
        torch.set_num_threads(threads)
    path = Path(model)
    if path.is_file():
        return _from_checkpoint(path, output_gamma)
    available = ModelRepository(repository).names()
    if str(model) not in available:
        raise FileNotFoundError(
            f"there is no checkpoint {model}, and no such model in {repository} ({', '.join(available) or 'empty'})"
        )
    version = ModelRepository(repository).servable(str(model))[-1]
    if not version.config.takes_pictures:
        raise ValueError(f"{model} takes no pictures; evaluate the model whose maps it makes")
    torchscript = version.config.backend == "pytorch"
    traits = version.config.traits
    opened = _run_torchscript(version.path) if torchscript else _run_onnx(version.path, threads)
    maps: Maps | None = None
    if traits.map_model:
        maps = _map_model(traits.map_model, repository, threads)
    elif traits.map_layout:
        maps = partial(_own_maps, opened)
    return EvaluatedModel(version.name, opened, traits, version.path, maps=maps)


def _from_checkpoint(path: Path, output_gamma: bool) -> EvaluatedModel:
    try:
        checkpoint = load_checkpoint(path)
    except ValueError:
        if path.name == WEIGHTS:
            raise
        checkpoint = networks.load_official(path)
    model = network_as_model(
        build_network(checkpoint), checkpoint["network"], checkpoint["options"], output_gamma=output_gamma
    )
    name = path.resolve().parents[1].name if path.name == WEIGHTS else path.stem  # all weights are called the same
    return replace(model, name=name, file=path)


def network_as_model(
    network: nn.Module, name: str, options: Mapping[str, Any], *, output_gamma: bool = True
) -> EvaluatedModel:
    """A network in memory, in evaluation mode, as it would be served.

    Args:
        network: on any device.
        name: its registered name.
        options: what it was built with.
        output_gamma: whether results get the gamma with which the network is served.

    Raises:
        ValueError: the network restores another model's answers.
    """
    spec = networks.spec(name)
    if spec.takes_answer:
        raise ValueError(f"{name} restores another model's results and cannot be evaluated by itself")
    traits = ModelTraits(
        family=spec.name,
        spatial_scope=SpatialScope(spec.spatial_scope),
        halo=spec.halo,
        multiple=spec.multiple,
        working_side=spec.working_side,
        map_layout=spec.map_layout,
        map_model=spec.name if spec.map_layout else "",
    )
    device = next(network.parameters()).device
    exponent = spec.output_gamma if output_gamma else 1.0

    def run(pictures: Pixels) -> Pixels:
        image = torch.tensor(pictures, device=device).permute(0, 3, 1, 2).float() / 255
        padded, (height, width) = networks.pad_to_multiple(image, spec.multiple)
        with torch.inference_mode():
            enhanced = network(padded)[:, :, :height, :width].clamp(0, 1) ** exponent
        return (255 * enhanced).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def maps(inputs: Inputs) -> NDArray[np.float32]:
        proxy, hidden = (torch.tensor(inputs[part], device=device).permute(0, 3, 1, 2) for part in (PROXY, EVIDENCE))
        exposure = torch.tensor(inputs[EXPOSURE], device=device)
        with torch.inference_mode():
            coefficients = network.affine(proxy, hidden, None, exposure)[0]  # type: ignore[operator]
        result: NDArray[np.float32] = coefficients.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return result

    return EvaluatedModel(name, run, traits, Path(name), options, maps if spec.map_layout else None)


def _own_maps(run: Callable[..., NDArray[Any]], inputs: Inputs) -> NDArray[np.float32]:
    """The second output of a model that makes maps from pictures."""
    return run(inputs[IMAGE], output=AFFINE)


def _map_model(name: str, repository: Path, threads: int | None) -> Maps:
    """A model that makes another's maps, by its name in the repository."""
    if name not in ModelRepository(repository).names():
        raise FileNotFoundError(f"the map model {name} is not in {repository}")
    version = ModelRepository(repository).servable(name)[-1]
    if version.config.backend != "pytorch":
        session = _session(version.path, threads)
        return lambda inputs: session.run([AFFINE], dict(inputs))[0]
    network = load_torchscript(version.path.read_bytes())
    names = [spec.name for spec in version.config.inputs]

    def maps(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            affine, _ = network(*(torch.from_numpy(inputs[name]) for name in names))
        result: NDArray[np.float32] = affine.numpy()
        return result

    return maps


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # as the service runs it
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run_onnx(path: Path, threads: int | None) -> Callable[..., NDArray[Any]]:
    session = _session(path, threads)

    def run(pictures: Pixels, output: str = ENHANCED) -> NDArray[Any]:
        answer: NDArray[Any] = session.run([output], {IMAGE: pictures})[0]
        return answer

    return run


def _run_torchscript(path: Path) -> Callable[..., NDArray[Any]]:
    network = load_torchscript(path.read_bytes())

    def run(pictures: Pixels, output: str = ENHANCED) -> NDArray[Any]:
        with torch.inference_mode():
            answer = network(torch.from_numpy(pictures))
        result: NDArray[Any] = (answer[output == AFFINE] if isinstance(answer, tuple) else answer).numpy()
        return result

    return run
