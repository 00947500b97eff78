"""`python -m benchmarks.precision`: whether served networks should run with 8 or 16 bits on this CPU.

Each model runs in float32, in float16, and with INT8 convolutions (static QDQ, calibrated with training pictures at
the proxy's size). The variants take turns on one proxy; scores are those of guided rendering on LOL's eval15. A
variant is worth serving if it loses at most 0.1 dB and is at least 1.3 times as fast.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from service.contract import AFFINE, ENHANCED
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, Prepared, RenderOptions, finish, plan, prepare
from service.repository import ModelRepository, ModelTraits
from training.datasets import find_samples, read_picture
from training.evaluation import psnr, ssim

LOSS, GAIN = 0.1, 1.3
GUIDED = RenderOptions(Detail.GUIDED, NEUTRAL.strength, NEUTRAL.protect, NEUTRAL.gate, NEUTRAL.gamma)

Pixels = NDArray[np.uint8]
Pair = tuple[Pixels, Pixels]
Inputs = Mapping[str, NDArray[Any]]
Run = Callable[[Inputs], NDArray[Any]]


class Proxies(CalibrationDataReader):
    """The network's inputs for the training pictures, one at a time."""

    def __init__(self, pictures: Sequence[Pixels], traits: ModelTraits) -> None:
        self._inputs = (dict(guided(picture, traits).inputs()[0]) for picture in pictures)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next inputs of the network; None after the last."""
        return next(self._inputs, None)


def guided(picture: Pixels, traits: ModelTraits) -> Prepared:
    """A picture, uint8 [H, W, 3], prepared for the network by guided rendering."""
    height, width = picture.shape[:2]
    return prepare(Picture(picture, PictureFormat.PNG), plan(width, height, 8, traits, GUIDED))


def variants(
    source: Path, traits: ModelTraits, pictures: Sequence[Pixels], folder: Path
) -> Iterator[tuple[str, Path]]:
    """(name, ONNX file) of each precision; new files are written to `folder`."""
    yield "float32", source
    half = folder / "half.onnx"
    model = convert_float_to_float16(onnx.load(source), keep_io_types=True, disable_shape_infer=True)
    onnx.save(model, half)
    yield "float16", half
    convolutions = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    for name, left_out in (("INT8", []), ("INT8 but the first and last", [convolutions[0], convolutions[-1]])):
        file = folder / f"{len(left_out)}.onnx"
        quantize_static(
            source,
            file,
            Proxies(pictures, traits),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=left_out,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        yield name, file


def opened(file: Path, threads: int, output: str) -> Run:
    """A function that runs a model with the service's session options."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run([output], dict(inputs))[0])


def in_turns(runs: Sequence[Run], inputs: Inputs, rounds: int) -> list[float]:
    """Median seconds of each run, in turns after one round of warm-up."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(rounds + 1):
        for run, taken in zip(runs, times, strict=True):
            started = time.perf_counter()
            run(inputs)
            if turn:
                taken.append(time.perf_counter() - started)
    return [median(taken) for taken in times]


def enhanced(run: Run, picture: Pixels, traits: ModelTraits) -> Pixels:
    """A picture, uint8 [H, W, 3], enhanced by guided rendering with a network; same shape."""
    prepared = guided(picture, traits)
    return finish(prepared, [run(inputs)[0] for inputs in prepared.inputs()], GUIDED).picture.pixels


def measure(
    name: str, repository: ModelRepository, training: Sequence[Pixels], pairs: Sequence[Pair], wishes: Any
) -> list[str]:
    """The table rows of a model. `wishes` are the parsed arguments."""
    traits = repository.servable(name)[-1].config.traits
    source = repository.servable(traits.map_model or name)[-1].path
    first = guided(pairs[0][0], traits).inputs()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        names, runs = [], []
        for variant, file in variants(source, traits, training, Path(folder)):
            try:
                run = opened(file, wishes.threads, AFFINE if traits.map_layout else ENHANCED)
                run(first)
            except Exception as error:  # ONNX Runtime has several error types, without a common base class
                rows.append(f"| `{name}` | {variant} | does not run: {str(error).rpartition(':')[2].strip()} | | | |")
            else:
                runs.append(run)
                names.append(variant)
        if not names or names[0] != "float32":
            raise SystemExit(f"{name} does not run in float32, with which the others are compared")
        times = in_turns(runs, first, wishes.rounds)
        best = 0.0
        for variant, run, seconds in zip(names, runs, times, strict=True):
            results = [(enhanced(run, low, traits) / 255, high / 255) for low, high in pairs]
            decibels = fmean(psnr(*both) for both in results)
            best = best or decibels
            gain = times[0] / seconds
            worth = variant != "float32" and best - decibels <= LOSS and gain >= GAIN
            rows.append(
                f"| `{name}` | {variant} | {decibels:.2f} | {fmean(ssim(*both) for both in results):.3f} "
                f"| {1000 * seconds:.1f} | {gain:.2f}{' (worth it)' if worth else ''} |"
            )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("models", nargs="+", help="names of models in the repository")
    parser.add_argument("--data", type=Path, required=True, help="folder of LOLv1")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--calibration", type=int, default=32, help="training pictures to calibrate on")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="threads per inference pass; 0 means one per core")
    wishes = parser.parse_args(arguments)
    training = find_samples("lolv1", wishes.data, "train")
    step = max(1, len(training) // wishes.calibration)
    pictures = [read_picture(sample.files["low"]) for sample in training[::step][: wishes.calibration]]
    tests = find_samples("lolv1", wishes.data, "test")
    pairs = [(read_picture(sample.files["low"]), read_picture(sample.files["high"])) for sample in tests]
    print("| model | computed in | PSNR, dB | SSIM | ms | times as fast |\n| --- | --- | ---: | ---: | ---: | ---: |")
    for name in wishes.models:
        repository = ModelRepository(wishes.repository)
        print(*measure(name, repository, pictures, pairs, wishes), sep="\n", flush=True)


if __name__ == "__main__":
    main()
