"""ONNX Runtime and TorchScript runners: what they refuse to open, and that providers are what was asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from service.errors import EngineUnavailable
from service.inference import AFFINE, ENHANCED, IMAGE, _onnx, open_runner
from service.inference._onnx import OnnxRunner, _session_options, pass_widths, share_of
from service.inference._onnx_cuda import CUDA, TENSORRT, BoundShape, BufferSpec, provider_options
from service.repository import ConfigError, ModelConfig, ModelRepository, ModelVersion, WarmupSample, WarmupTensor
from tests.pictures import dark_scene
from tests.repositories import brightened, make_repository
from tests.service.inference.graphs import make_torchscript

ROOT = Path(__file__).resolve().parents[3]


def version(root: Path, name: str = "brighten") -> ModelVersion:
    return ModelRepository(root).servable(name)[0]


def with_parameters(config: ModelConfig, parameters: Mapping[str, str]) -> ModelConfig:
    return replace(config, parameters={**config.parameters, **parameters})


def test_onnx_on_the_cpu(tmp_path: Path) -> None:
    runner = open_runner(version(make_repository(tmp_path, affine=True)), "cpu", 1)
    picture = dark_scene()[None]
    tensors = runner.run({IMAGE: picture}, (AFFINE, ENHANCED))
    np.testing.assert_array_equal(tensors[ENHANCED], brightened(picture))
    assert list(tensors) == [AFFINE, ENHANCED]
    assert runner.info.provider == "CPUExecutionProvider"
    assert runner.info.engine == "onnxruntime"
    runner.close()


@pytest.mark.parametrize(
    ("threads", "widths", "shares"),
    [
        (1, (1,), [1]),
        (2, (2, 1), [2, 1]),
        (3, (3, 1), [3, 1, 1]),
        (4, (4, 2, 1), [4, 2, 1, 1]),
        (8, (8, 4, 2, 1), [8, 4, 2, 2, 1, 1, 1, 1]),
    ],
)
def test_passes_side_by_side_share_the_threads(threads: int, widths: tuple[int, ...], shares: list[int]) -> None:
    assert pass_widths(threads) == widths
    assert [share_of(widths, running) for running in range(1, threads + 1)] == shares


def test_side_by_side_passes_answer_as_alone(tmp_path: Path) -> None:
    runner = open_runner(version(make_repository(tmp_path)), "cpu", 4)
    assert runner.info.passes == 4
    pictures = [np.random.default_rng(seed).integers(0, 256, (1, 40 + seed, 64, 3), np.uint8) for seed in range(16)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda one: runner.run({IMAGE: one}, (ENHANCED,))[ENHANCED], pictures))
    for one, answered in zip(pictures, answers, strict=True):
        np.testing.assert_array_equal(answered, brightened(one))
    runner.close()


def test_sessions_of_a_process_share_one_arena(tmp_path: Path) -> None:
    """Passes of the same size through two models, one after the other, need the memory of one."""
    script = """
import sys
from pathlib import Path
import numpy as np
from service.inference import ENHANCED, IMAGE, open_runner
from service.repository import ModelRepository

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

runners = [open_runner(version, "cpu", 2) for name in ("one", "two")
           for version in ModelRepository(Path(sys.argv[1])).servable(name)]
picture = np.zeros((1, 2000, 3000, 3), np.uint8)
sizes = [resident()]
for runner in runners:
    del runner.run({IMAGE: picture}, (ENHANCED,))[ENHANCED]
    sizes.append(resident())
print(*sizes)
"""
    root = make_repository(tmp_path, ("one", "two"))
    outcome = subprocess.run(
        [sys.executable, "-c", script, str(root)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, first, second = map(int, outcome.stdout.split())
    assert first - before > 20_000_000
    assert second - first < (first - before) / 4


@pytest.mark.parametrize(
    "extra",
    [
        'parameters { key: "intra_op_thread_count" value { string_value: "2" } }',
        "instance_group { kind: KIND_CPU count: 2 }",
    ],
)
def test_a_configuration_that_decides_itself_gets_one_pass_a_copy(tmp_path: Path, extra: str) -> None:
    runner = open_runner(version(make_repository(tmp_path, extra=extra)), "cpu", 4)
    assert runner.info.passes == 1
    runner.close()


def test_torchscript_on_the_cpu(tmp_path: Path) -> None:
    runner = open_runner(version(make_torchscript(tmp_path), "brighten_torchscript"), "cpu", 1)
    picture = np.stack([dark_scene(), dark_scene()[::-1]])
    np.testing.assert_array_equal(runner.run({IMAGE: picture}, (ENHANCED,))[ENHANCED], brightened(picture))
    assert (runner.info.engine, runner.info.provider, runner.info.precision) == ("torchscript", "cpu", "fp32")
    runner.close()


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="only a machine without CUDA can show this"
)
def test_a_missing_provider_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="CUDAExecutionProvider"):
        open_runner(version(make_repository(tmp_path)), "cuda:0", 1)


def test_torchscript_without_cuda_says_so(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("only a machine without CUDA can show this")
    with pytest.raises(EngineUnavailable, match="finds no CUDA device"):
        open_runner(version(make_torchscript(tmp_path), "brighten_torchscript"), "cuda:0", 1)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "model"), (b"garbage", "Protobuf"), (b"PK\x03\x04 half a zip", "Protobuf")]
)
def test_a_corrupt_onnx_file(tmp_path: Path, content: bytes, reason: str) -> None:
    model = version(make_repository(tmp_path))
    model.path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as error:
        open_runner(model, "cpu", 1)
    assert str(tmp_path) not in str(error.value)


def test_a_truncated_onnx_file(tmp_path: Path) -> None:
    model = version(make_repository(tmp_path))
    model.path.write_bytes(model.path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match=r"model\.onnx cannot be loaded"):
        open_runner(model, "cpu", 1)


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_corrupt_torchscript_file(tmp_path: Path, kept: float) -> None:
    model = version(make_torchscript(tmp_path), "brighten_torchscript")
    content = model.path.read_bytes()
    model.path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(ConfigError, match=r"model\.pt cannot be loaded") as error:
        open_runner(model, "cpu", 1)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: "enhanced"', 'name: "brighter"'),
        ('name: "image"', 'name: "picture"'),
    ],
)
def test_a_configuration_that_contradicts_the_graph(tmp_path: Path, old: str, new: str) -> None:
    root = make_repository(tmp_path)
    config = root / "brighten" / "config.pbtxt"
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=r"declares|must occur once"):
        open_runner(version(root), "cpu", 1)


def test_triton_names_of_cuda_options(tmp_path: Path) -> None:
    config = version(make_repository(tmp_path)).config
    assert provider_options(config, "cuda:1") == [
        (
            CUDA,
            {
                "device_id": "1",
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",
                "enable_cuda_graph": "0",
            },
        )
    ]
    given = {"cudnn_conv_algo_search": "0", "arena_extend_strategy": "0", "gpu_mem_limit": "1000000000"}
    [(_, options)] = provider_options(with_parameters(config, given), "cuda:0")
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert options["arena_extend_strategy"] == "kNextPowerOfTwo"
    assert options["gpu_mem_limit"] == "1000000000"
    with pytest.raises(ConfigError, match="cudnn_conv_algo_search is '7'; allowed are"):
        provider_options(with_parameters(config, {"cudnn_conv_algo_search": "7"}), "cuda:0")


def test_triton_names_of_tensorrt_options(tmp_path: Path) -> None:
    root = make_repository(
        tmp_path,
        extra="""optimization { execution_accelerators { gpu_execution_accelerator {
            name: "tensorrt"
            parameters { key: "precision_mode" value: "FP16" }
            parameters { key: "max_workspace_size_bytes" value: "1073741824" }
            parameters { key: "trt_engine_cache_enable" value: "True" }
        } } }""",
    )
    providers = provider_options(version(root).config, "cuda:0")
    assert [name for name, _ in providers] == [TENSORRT, CUDA]
    assert providers[0][1] == {
        "device_id": "0",
        "trt_fp16_enable": "True",
        "trt_max_workspace_size": "1073741824",
        "trt_engine_cache_enable": "True",
    }


def test_triton_names_of_session_options(tmp_path: Path) -> None:
    config = version(make_repository(tmp_path)).config
    default = _session_options(config, 3)
    assert default.intra_op_num_threads == 3
    assert default.enable_cpu_mem_arena
    assert not default.enable_mem_pattern
    given = {
        "intra_op_thread_count": "2",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "1",
    }
    options = _session_options(with_parameters(replace(config, graph_level=-1), given), 3)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 2)
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert not options.enable_cpu_mem_arena
    assert options.enable_mem_pattern


def test_arena_shrinkage_is_a_run_option(tmp_path: Path) -> None:
    """ONNX Runtime refuses values that it cannot read, which shows that the option arrives there."""
    model = version(make_repository(tmp_path))
    shrinking = replace(
        model, config=with_parameters(model.config, {"memory.enable_memory_arena_shrinkage": "cpu:0"})
    )
    open_runner(shrinking, "cpu", 1).close()
    broken = replace(model, config=with_parameters(model.config, {"memory.enable_memory_arena_shrinkage": "tpu:0"}))
    with pytest.raises(Exception, match="tpu"):
        open_runner(broken, "cpu", 1)


def test_bound_buffers_answer_as_plain_runs_do(tmp_path: Path) -> None:
    """The buffers that CUDA uses, on the CPU: two batches through the same ones must not mix."""
    model = version(make_repository(tmp_path, affine=True))
    session = ort.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    first = np.stack([dark_scene(), dark_scene()[::-1]])
    second = np.ascontiguousarray(first[:, ::-1])
    picture = BufferSpec(first.shape, first.dtype)
    bound = BoundShape(session, {IMAGE: picture}, (ENHANCED, AFFINE), {ENHANCED: picture}, "cpu", ort.RunOptions())
    answers = [bound.run({IMAGE: batch}) for batch in (first, second)]
    for batch, tensors in zip((first, second), answers, strict=True):
        np.testing.assert_array_equal(tensors[ENHANCED], brightened(batch))
        assert tensors[AFFINE].shape == (2, 4, 4, 6)


def test_a_cuda_graph_has_an_id_of_its_own_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two outputs of one shape of the warm-up, with other shapes before, between and behind."""
    ids: list[tuple[int, str]] = []

    def bind(
        _: object, inputs: dict[str, BufferSpec], outputs: object, known: object, device: str, options: ort.RunOptions
    ) -> None:
        ids.append((inputs[IMAGE].shape[1], options.get_run_config_entry("gpu_graph_id")))

    warmup = (WarmupSample((WarmupTensor(IMAGE, (1, 16, 16, 3), random=True),), 1),)
    model = version(make_repository(tmp_path))
    runner = OnnxRunner(model.path, replace(model.config, warmup=warmup, cuda_graphs=True), "cpu", 1)
    monkeypatch.setattr(_onnx, "BoundShape", bind)
    for start, outputs in ((100, (ENHANCED,)), (200, (AFFINE,)), (300, (ENHANCED,))):
        for side in (*range(start, start + _onnx.SHAPES_KEPT), 16):
            runner._bind(((IMAGE, (1, side, 16, 3)),), outputs)
    assert [graph for side, graph in ids if side == 16] == ["1", "2"]
    assert {graph for side, graph in ids if side != 16} == {_onnx.NO_GRAPH}
    assert len(runner._bound) == _onnx.SHAPES_KEPT + 2


def test_torch_is_not_imported_for_onnx(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    script = (
        "import sys; from pathlib import Path; from service.inference import open_runner;"
        "from service.repository import ModelRepository; r = ModelRepository(Path(sys.argv[1]));"
        "open_runner(r.servable('brighten')[0], 'cpu', 1); from service.inference import _placement;"
        "_placement.cuda_devices = lambda: 1; built = _placement.cuda_available('pytorch');"
        "print(built, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, root], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [str(torch.version.cuda is not None), "False"]
