"""Models with several inputs: every runner, the queue, and both placements."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.errors import EngineFailed, EngineUnavailable
from service.inference import Bucket, Fault, open_runner
from service.inference._child_process import COPY_IN_THREAD, KEPT, ChildProcess
from service.inference._faults import run_guarded
from service.inference._onnx_cuda import BoundShape, BufferSpec
from service.inference._worker import Placed
from service.repository import ConfigError, ModelRepository
from tests.service.inference.children import serving
from tests.service.inference.graphs import HUGE
from tests.service.inference.lines import Line
from tests.settling import settle
from tests.tensor_models import Arrays, assert_answers, made_inputs, make_tensor_model, warmup_of

KINDS = ("mapper", "restorer")
OUTPUTS = {"mapper": ("affine", "brightness"), "restorer": ("restored",)}


def save(graph: str, root: Path, name: str) -> None:
    """Put another graph into a model's folder."""
    onnx.save(onnx.parser.parse_model(graph), root / name / "1" / "model.onnx")


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_runners_find_every_input_by_its_name(tmp_path: Path, kind: str, scripted: bool) -> None:
    root = make_tensor_model(tmp_path, kind, scripted=scripted)
    runner = open_runner(ModelRepository(root).servable(kind)[0], "cpu", 1)
    inputs = made_inputs(kind, count=3)
    backwards = dict(reversed(inputs.items()))
    assert_answers(kind, inputs, runner.run(backwards, OUTPUTS[kind]))
    assert list(runner.run(inputs, OUTPUTS[kind][::-1])) == list(OUTPUTS[kind][::-1])
    assert_answers(kind, inputs, runner.run(inputs, OUTPUTS[kind][:1]), OUTPUTS[kind][:1])
    runner.close()


@pytest.mark.parametrize("scripted", [False, True])
def test_numbers_may_begin_anywhere_in_memory(tmp_path: Path, scripted: bool) -> None:
    """As those behind the JSON of a request do; and they are read-only there."""
    root = make_tensor_model(tmp_path, "mapper", scripted=scripted)
    runner = open_runner(ModelRepository(root).servable("mapper")[0], "cpu", 1)
    inputs = made_inputs("mapper")
    body = b"x" + inputs["proxy"].tobytes()
    proxy = np.frombuffer(memoryview(body)[1:], np.float32).reshape(inputs["proxy"].shape)
    assert not proxy.flags.aligned
    assert_answers("mapper", inputs, runner.run({**inputs, "proxy": proxy}, OUTPUTS["mapper"]))
    runner.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_axis_may_lie_in_dims(tmp_path: Path, kind: str) -> None:
    root = make_tensor_model(tmp_path, kind, max_batch_size=0, extra=warmup_of(kind, 2, 20, 16))
    runner = open_runner(ModelRepository(root).servable(kind)[0], "cpu", 1)
    inputs = made_inputs(kind, count=2)
    assert_answers(kind, inputs, runner.run(inputs, OUTPUTS[kind]))
    runner.close()


def test_bound_buffers_of_several_inputs_do_not_mix(tmp_path: Path) -> None:
    """The buffers that CUDA uses, on the CPU: two batches through the same ones."""
    root = make_tensor_model(tmp_path, "mapper")
    session = ort.InferenceSession(
        str(ModelRepository(root).servable("mapper")[0].path), providers=["CPUExecutionProvider"]
    )
    batches = [made_inputs("mapper", seed, count=2) for seed in (1, 2)]
    buffers = {name: BufferSpec(array.shape, array.dtype) for name, array in batches[0].items()}
    known = {"brightness": BufferSpec((2, 1), np.dtype(np.float32))}
    bound = BoundShape(session, buffers, OUTPUTS["mapper"], known, "cpu", ort.RunOptions())
    answers = [bound.run(batch) for batch in batches]
    for batch, outputs in zip(batches, answers, strict=True):
        assert_answers("mapper", batch, outputs)


@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.parametrize("kind", KINDS)
async def test_requests_share_batches_and_get_their_own_rows(tmp_path: Path, kind: str, isolation: str) -> None:
    root = make_tensor_model(tmp_path, kind, delay_us=1)
    async with serving(root, [kind], engine_isolation=isolation) as service:
        queue = service.model(kind).queue
        asked = [made_inputs(kind, seed, count=1 + seed % 2) for seed in range(12)]
        outcomes = await asyncio.gather(*(queue.submit(inputs, OUTPUTS[kind]) for inputs in asked))
        for inputs, outcome in zip(asked, outcomes, strict=True):
            assert_answers(kind, inputs, outcome.tensors)
        assert max(outcome.batch for outcome in outcomes) > 4
        assert queue.statistics.pictures == sum(len(next(iter(inputs.values()))) for inputs in asked)
        assert queue.statistics.executions < len(asked)


async def test_only_items_that_are_alike_in_every_input_share_a_batch() -> None:
    def item(value: int, guide: Any) -> Arrays:
        return {"picture": np.full((1, 8, 8, 3), value, np.uint8), "guide": guide}

    small, channels = np.zeros((1, 8, 8, 2), np.float32), np.zeros((1, 8, 8, 4), np.float32)
    line = Line()
    submitted = [item(0, small), item(1, small), item(2, channels), item(3, small.astype(np.float16)), item(4, small)]
    tasks = [asyncio.create_task(line.queue.submit(one, ("restored",))) for one in submitted]
    backwards = dict(reversed(item(5, small).items()))
    tasks.append(asyncio.create_task(line.queue.submit(backwards, ("restored",))))
    await settle()
    line.engine.let(10)
    outcomes = await asyncio.gather(*tasks)
    # The first ran at once; those that waited: both kinds that are unlike the others went alone.
    assert [outcome.batch for outcome in outcomes] == [1, 3, 1, 1, 3, 3]
    assert line.engine.values == [0, 1, 2, 3]


async def test_what_no_batch_can_be_made_of_is_refused_at_once() -> None:
    inputs = {"picture": np.zeros((2, 8, 8, 3), np.uint8), "guide": np.zeros((1, 8, 8, 2), np.float32)}
    line = Line()
    with pytest.raises(ValueError, match="first axes differ"):
        await line.queue.submit(inputs, ("restored",))
    assert not line.queue.waiting


@pytest.mark.parametrize(
    ("shapes", "pixels"),
    [
        ({"proxy": (2, 10, 20, 3), "exposure": (2, 1)}, 200),
        ({"exposure": (2, 1), "proxy": (2, 10, 20, 3)}, 200),
        ({"small": (2, 4, 4, 3), "large": (2, 10, 20, 1)}, 200),
        ({"vector": (2, 500)}, 500),
        ({"vector": (2, 500), "proxy": (2, 10, 20, 3)}, 500),
        ({"channels": (2, 10, 20, 64)}, 200),
        ({"no_picture": (2, 10, 20, 65)}, 13_000),
        ({"alone": (2,)}, 1),
    ],
)
def test_pixels_are_those_of_the_largest_input(shapes: dict[str, tuple[int, ...]], pixels: int) -> None:
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert Bucket.of(inputs, ()).pixels == pixels


class Narrow:
    """A runner of two inputs that has memory for two items at once."""

    info: Any = None

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def run(self, inputs: Any, outputs: tuple[str, ...]) -> Any:
        self.sizes.append(tuple(len(array) for array in inputs.values()))
        if len(inputs["a"]) > 2:
            raise MemoryError
        return {"sum": inputs["a"] + inputs["b"][:, 0], "difference": inputs["a"] - inputs["b"][:, 0]}

    def close(self) -> None: ...


def test_a_batch_that_does_not_fit_is_halved_in_every_input() -> None:
    runner, noted = Narrow(), []
    a, b = np.arange(4.0), np.arange(8.0).reshape(4, 2)
    outputs = run_guarded(runner, {"a": a, "b": b}, ("sum", "difference"), noted.append)
    np.testing.assert_array_equal(outputs["sum"], a + b[:, 0])
    np.testing.assert_array_equal(outputs["difference"], a - b[:, 0])
    assert runner.sizes == [(4, 4), (2, 2), (2, 2)]
    assert noted == [Fault.OUT_OF_MEMORY]
    with pytest.raises(EngineUnavailable, match=r"a of shape \[6\], b of shape \[6, 2\]"):
        run_guarded(runner, {"a": np.zeros(6), "b": np.zeros((6, 2))}, ("sum", "difference"), noted.append)


GREEDY = f"""<ir_version: 8, opset_import: ["": 17]>
greedy (uint8[N,H,W,3] picture, float[N,H,W,2] guide) => (uint8[N,H,W,3] restored)
<int64[1] fits = {{2}}, int64[1] nothing = {{0}}, int64[1] huge = {{{HUGE}}}, int64[1] one = {{1}},
 float zero = {{0.0}}, float white = {{255.0}}>
{{
    count = Shape<start = 0, end = 1>(picture)
    beyond = Sub(count, fits)
    excess = Max(beyond, nothing)
    wanted = Mul(excess, huge)
    size = Add(wanted, one)
    waste = ConstantOfShape(size)
    none = ReduceMax<keepdims = 0>(waste)
    codes = Cast<to = 1>(picture)
    share = ReduceMean<axes = [3], keepdims = 1>(guide)
    moved = Mul(codes, share)
    same = Add(moved, none)
    clipped = Clip(same, zero, white)
    restored = Cast<to = 2>(clipped)
}}"""
"""The restorer, which asks for far too much memory for more than two items."""


@pytest.mark.parametrize("isolation", ["process", "none"])
async def test_memory_that_runs_out_halves_every_input(tmp_path: Path, isolation: str) -> None:
    """With real refusals by ONNX Runtime's allocator."""
    root = make_tensor_model(tmp_path, "restorer")
    save(GREEDY, root, "restorer")
    async with serving(root, ["restorer"], engine_isolation=isolation) as service:
        queue, inputs = service.model("restorer").queue, made_inputs("restorer", count=4)
        assert_answers("restorer", inputs, (await queue.submit(inputs, ("restored",))).tensors)
        assert service.count("device_faults_total", kind=Fault.OUT_OF_MEMORY) == 1
        with pytest.raises(EngineUnavailable, match=r"picture of shape \[6, 16, 24, 3\], guide of shape"):
            await queue.submit(made_inputs("restorer", count=6), ("restored",))


@pytest.mark.parametrize("kind", KINDS)
async def test_the_child_process_answers_as_this_one(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At sizes below and above what is copied on the event loop and what is kept, and back to small."""
    replies: list[Any] = []
    call = ChildProcess.call

    async def noted(*arguments: Any) -> Any:
        replies.append(await call(*arguments))
        return replies[-1]

    shapes = [(1, 16, 17), (3, 64, 48), (1, 1000, 1200), (1, 20, 16)]
    async with serving(make_tensor_model(tmp_path, kind), [kind]) as service:
        monkeypatch.setattr(ChildProcess, "call", noted)
        for count, height, width in shapes:
            inputs = made_inputs(kind, height, count, height, width)
            assert_answers(kind, inputs, await service.model(kind).engine.run(inputs, OUTPUTS[kind]))
        assert len(replies) == len(shapes)
        assert {type(output) for reply in replies for output in reply.values()} == {Placed}
    largest = sum(array.nbytes for array in made_inputs(kind, 0, *shapes[2]).values())
    assert largest > COPY_IN_THREAD
    assert kind != "mapper" or largest > KEPT


REDUCER = """<ir_version: 8, opset_import: ["": 17]>
reducer (uint8[N,H,W,3] picture, float[N,H,W,2] guide) => (uint8[M,H,W,3] restored)
<int64[1] none = {0}, int64[1] one = {1}, int64[1] batch = {0}> { restored = Slice(picture, none, one, batch) }"""


async def test_an_answer_that_has_not_a_row_for_everybody_goes_to_nobody(tmp_path: Path) -> None:
    """A model that answers with its first item alone shows that in a warm-up of two, or in its first batch."""
    root = make_tensor_model(tmp_path, "restorer", delay_us=1)
    save(REDUCER, root, "restorer")
    async with serving(root, ["restorer"], engine_isolation="none") as service:
        queue = service.model("restorer").queue
        await queue.submit(made_inputs("restorer"), ("restored",))
        with pytest.raises(EngineFailed):
            await queue.submit(made_inputs("restorer", count=2), ("restored",))
    make_tensor_model(root, "restorer", extra=warmup_of("restorer", 2, 16, 16))
    save(REDUCER, root, "restorer")
    with pytest.raises(
        ConfigError, match=r"'restored' is uint8 \[1, 16, 16, 3\] for a batch of 2; config.pbtxt decl"
    ):
        open_runner(ModelRepository(root).servable("restorer")[0], "cpu", 1)


CONTRADICTIONS = {
    "an input that the graph has not": ('name: "guide"', 'name: "mask"', ["'mask'", "the graph has"]),
    "another datatype": ("TYPE_FP32", "TYPE_FP16", ["guide as FP16", "the graph as FP32"]),
    "another number of channels": ("-1, -1, 2", "-1, -1, 5", ["[-1, -1, -1, 5]", "[-1, -1, -1, 2]"]),
    "another number of axes": ("-1, -1, 2", "-1, 2", ["[-1, -1, 2]", "[-1, -1, -1, 2]"]),
    "any number of channels, of which the graph takes two": ("-1, -1, 2", "-1, -1, -1", ["[-1, -1, -1, -1]"]),
    "an output that the graph has not": ('name: "restored"', 'name: "enhanced"', ["'enhanced'", "['restored']"]),
}


@pytest.mark.parametrize(("old", "new", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_graph_that_contradicts_its_configuration_is_not_loaded(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    config = make_tensor_model(tmp_path, "restorer") / "restorer/config.pbtxt"
    text = config.read_text().replace('key: "nightlift.same_size"', 'key: "unused"')
    config.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        open_runner(ModelRepository(tmp_path).servable("restorer")[0], "cpu", 1)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "output {",
            'input { name: "more" data_type: TYPE_FP32 dims: [ 1 ] } output {',
            "declares 3 inputs, and forward takes ['picture', 'guide']",
        ),
        (
            "output {",
            'output { name: "more" data_type: TYPE_FP32 dims: [ 1 ] } output {',
            "declares 2 outputs, and forward returns 1",
        ),
        (
            'name: "restored" data_type: TYPE_UINT8',
            'name: "restored" data_type: TYPE_FP32',
            "'restored' is uint8 [1, 64, 64, 3] for a batch of 1; config.pbtxt declares FP32",
        ),
    ],
)
def test_a_module_that_contradicts_its_configuration_is_not_loaded(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    config = make_tensor_model(tmp_path, "restorer", scripted=True) / "restorer/config.pbtxt"
    config.write_text(config.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        open_runner(ModelRepository(tmp_path).servable("restorer")[0], "cpu", 1)
    assert words in str(refused.value)
