"""config.pbtxt: every field is honoured, or named in a warning, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from service.repository import ConfigError, ModelConfig, SpatialScope, WarmupSample, WarmupTensor, read_config

MINIMAL = """
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }
output { name: "enhanced" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }
"""

Read = Callable[[str], ModelConfig]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Parse a text as the configuration of a model called `dusk`."""
    folder = tmp_path / "dusk"
    folder.mkdir()

    def parse(text: str) -> ModelConfig:
        (folder / "config.pbtxt").write_text(text, encoding="utf-8")
        return read_config(folder)

    return parse


def test_the_least_that_is_needed(read: Read) -> None:
    config = read(MINIMAL)
    assert config.name == "dusk"
    assert (config.backend, config.platform, config.filename) == ("onnxruntime", "onnxruntime_onnx", "model.onnx")
    assert [(tensor.name, tensor.datatype, tensor.dims) for tensor in config.inputs] == [
        ("image", "UINT8", (-1, -1, 3))
    ]
    assert config.batching.max_batch_size == 1  # as in Triton, nothing is joined without dynamic_batching
    assert config.batching.max_queue_size == 256
    assert config.batching.default_timeout is None
    assert config.versions.latest == 1
    assert [(group.kind, group.count, group.gpus) for group in config.instances] == [("auto", 1, ())]
    assert config.warmup == ()
    assert config.warnings == ()
    assert config.traits.family == "dusk"
    assert config.traits.spatial_scope is SpatialScope.GLOBAL
    assert config.traits.map_layout == 0
    assert config.precision == "fp32"
    assert config.scores == {}
    assert config.licence == ""


def test_everything_that_is_honoured(read: Read) -> None:
    config = read(
        """
        name: "dusk"
        backend: "pytorch"
        max_batch_size: 0
        default_model_filename: "other.pt"
        input { name: "image" data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ -1, -1, -1, 3 ] }
        output { name: "enhanced" data_type: TYPE_UINT8 dims: [ -1, -1, -1, 3 ] }
        output { name: "affine" data_type: TYPE_FP32 dims: [ -1, -1, -1, 6 ] }
        version_policy { specific { versions: [ 2, 5 ] } }
        instance_group { kind: KIND_CPU count: 2 }
        instance_group { kind: KIND_GPU gpus: [ 0, 3 ] }
        optimization {
          graph { level: 1 }
          cuda { graphs: true }
          execution_accelerators { gpu_execution_accelerator {
            name: "tensorrt" parameters { key: "precision_mode" value: "FP16" } } }
        }
        model_warmup { name: "w" batch_size: 4 count: 3 inputs {
          key: "image" value { data_type: TYPE_UINT8 dims: [ 48, 64, 3 ] random_data: true } } }
        model_warmup { name: "z" inputs {
          key: "image" value { data_type: TYPE_UINT8 dims: [ 16, 24, 3 ] zero_data: true } } }
        parameters { key: "intra_op_thread_count" value { string_value: "3" } }
        parameters { key: "nightlift.family" value { string_value: "night" } }
        parameters { key: "nightlift.spatial_scope" value { string_value: "local" } }
        parameters { key: "nightlift.halo" value { string_value: "8" } }
        parameters { key: "nightlift.multiple" value { string_value: "4" } }
        parameters { key: "nightlift.working_side" value { string_value: "600" } }
        parameters { key: "nightlift.smallest_side" value { string_value: "20" } }
        parameters { key: "nightlift.max_pixels" value { string_value: "1000" } }
        parameters { key: "nightlift.tolerance" value { string_value: "0.5" } }
        parameters { key: "nightlift.precision" value { string_value: "fp16" } }
        parameters { key: "nightlift.licence" value { string_value: "research only" } }
        parameters { key: "nightlift.scores" value { string_value: "{\\"psnr\\": 18.8}" } }
        """
    )
    assert (config.backend, config.platform, config.filename) == ("pytorch", "pytorch_libtorch", "other.pt")
    assert config.versions.choose((1, 2, 3, 5)) == (2, 5)
    assert [(group.kind, group.count, group.gpus) for group in config.instances] == [
        ("cpu", 2, ()),
        ("gpu", 1, (0, 3)),
    ]
    assert config.graph_level == 1
    assert config.cuda_graphs
    assert config.accelerators == {"tensorrt": {"precision_mode": "FP16"}}
    assert config.warmup == (
        WarmupSample((WarmupTensor("image", (4, 48, 64, 3), random=True),), 3),
        WarmupSample((WarmupTensor("image", (1, 16, 24, 3), random=False),), 1),
    )
    assert config.parameters["intra_op_thread_count"] == "3"
    traits = config.traits
    assert (traits.family, traits.spatial_scope, traits.halo, traits.multiple) == ("night", "local", 8, 4)
    assert (traits.working_side, traits.smallest_side, traits.max_pixels) == (600, 20, 1000)
    assert traits.tolerance == 0.5
    assert traits.map_layout == 6
    assert (config.precision, config.licence, config.scores) == ("fp16", "research only", {"psnr": 18.8})
    assert config.warnings == ()


def test_dynamic_batching(read: Read) -> None:
    plain = read(MINIMAL + "dynamic_batching { }").batching
    assert (plain.max_batch_size, plain.asked_for, plain.max_queue_size) == (8, False, 256)
    preferred = read(MINIMAL + "dynamic_batching { preferred_batch_size: [ 4, 8 ] }").batching
    assert preferred.asked_for
    config = read(
        MINIMAL
        + """dynamic_batching { max_queue_delay_microseconds: 2500 default_queue_policy {
             default_timeout_microseconds: 500000 allow_timeout_override: false max_queue_size: 7 } }"""
    )
    batching = config.batching
    assert batching.max_delay == pytest.approx(0.0025)
    assert batching.asked_for
    assert batching.max_queue_size == 7
    assert batching.default_timeout == pytest.approx(0.5)
    assert not batching.allow_timeout_override
    assert config.warnings == ()


def test_the_message_is_kept_for_clients(read: Read) -> None:
    assert read(MINIMAL).proto == text_format.Parse(MINIMAL, pb.ModelConfig())


IGNORED = {
    "dynamic_batching { priority_levels: 3 default_priority_level: 2 }": "priorities",
    "dynamic_batching { preserve_ordering: true }": "preserve_ordering",
    "dynamic_batching { default_queue_policy { timeout_action: DELAY } }": "DELAY",
    'instance_group { rate_limiter { resources { name: "r" count: 1 } } }': "rate_limiter",
    "instance_group { passive: true }": "passive",
    'instance_group { profile: "p" }': "profile",
    'instance_group { host_policy: "h" }': "host_policy",
    "response_cache { enable: true }": "response_cache",
    'metric_tags { key: "a" value: "b" }': "metric_tags",
    'model_metrics { metric_control { metric_identifier { family: "f" } } }': "model_metrics",
    "optimization { input_pinned_memory { enable: false } }": "pinned memory",
    "optimization { eager_batching: true }": "eager_batching",
    "optimization { priority: PRIORITY_MAX }": "priority",
    "optimization { cuda { busy_wait_events: true } }": "cuda",
    'optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }': "cpu_execution",
    'model_operations { op_library_filename: "x.so" }': "model_operations",
}


@pytest.mark.parametrize(("text", "named"), IGNORED.items())
def test_harmless_fields_are_named_in_a_warning(read: Read, text: str, named: str) -> None:
    [warning] = read(MINIMAL + text).warnings
    assert named in warning


WARM_UP = (
    'model_warmup { name: "w" batch_size: %d count: %d inputs { key: "image" value '
    "{ data_type: TYPE_UINT8 dims: [ %d, %d, 3 ] random_data: true } } }"
)
SAME_SIZE = 'parameters { key: "nightlift.same_size" value { string_value: "%s" } }'
TAKES_NO_PICTURES = 'parameters { key: "nightlift.takes_pictures" value { string_value: "false" } }'
REFUSED = {
    MINIMAL + "instance_group { count: 65 }": "64 instances",
    MINIMAL + "instance_group { count: 40 kind: KIND_CPU } instance_group { count: 40 }": "64 instances",
    MINIMAL + 'parameters { key: "intra_op_thread_count" value { string_value: "1025" } }': "1024 threads",
    MINIMAL
    + 'parameters { key: "inter_op_thread_count" value { string_value: "%s" } }' % ("9" * 5000): "1024 threads",
    MINIMAL + WARM_UP % (1, 101, 64, 64): "100 passes",
    MINIMAL + WARM_UP % (8, 1, 4000, 4000): "16000000 pixels",
    MINIMAL + 'output { name: "affine" data_type: TYPE_FP32 dims: [ -1, -1, 7 ] }': "6, 12, 15, 16",
    MINIMAL + 'output { name: "affine" data_type: TYPE_FP32 dims: [ -1, -1, -1 ] }': "6, 12, 15, 16",
    MINIMAL + 'output { name: "affine" data_type: TYPE_STRING dims: [ -1, -1, 6 ] }': "'affine' has no numbers",
    MINIMAL.replace("onnxruntime_onnx", "tensorrt_plan"): "allowed are",
    MINIMAL.replace('platform: "onnxruntime_onnx"', 'backend: "python"'): "backend 'python'",
    MINIMAL.replace('platform: "onnxruntime_onnx"', ""): "neither platform nor backend",
    MINIMAL + 'backend: "pytorch"': "contradict",
    MINIMAL + 'name: "dawn"': "'dawn', but the folder is 'dusk'",
    MINIMAL + 'ensemble_scheduling { step { model_name: "m" } }': "ensemble_scheduling",
    MINIMAL + "sequence_batching { }": "sequence_batching",
    MINIMAL + "model_transaction_policy { decoupled: true }": "decoupled",
    MINIMAL
    + 'batch_input { kind: BATCH_ELEMENT_COUNT target_name: "x" data_type: TYPE_FP32 source_input: "image" }': (
        "ragged"
    ),
    MINIMAL.replace('name: "image"', 'name: "image" allow_ragged_batch: true'): "ragged",
    MINIMAL.replace('name: "image"', 'name: "image" reshape { shape: [ 1 ] }'): "reshape",
    MINIMAL + 'model_repository_agents { agents { name: "checksum" } }': "agents",
    MINIMAL.replace("max_batch_size: 8", "max_batch_size: -1"): "-1",
    MINIMAL.replace("max_batch_size: 8", ""): "4 dims, ending in 3, since max_batch_size is 0",
    MINIMAL + "dynamic_batching { preferred_batch_size: [ 16 ] }": "preferred_batch_size",
    MINIMAL + 'default_model_filename: "../../etc/passwd"': "plain file name",
    MINIMAL + "instance_group { kind: KIND_MODEL }": "KIND_MODEL",
    MINIMAL.replace("TYPE_UINT8", "TYPE_FP32", 1): "'image' must be TYPE_UINT8",
    MINIMAL.replace("dims: [ -1, -1, 3 ]", "dims: [ 3, -1, -1 ]", 1): "[N, H, W, 3]",
    MINIMAL.replace('name: "image"', 'name: "INPUT__0"'): "'image' must occur once",
    MINIMAL.replace('name: "enhanced"', 'name: "OUTPUT__0"'): "'enhanced' must occur once",
    MINIMAL.replace('name: "image"', 'name: "image" format: FORMAT_NCHW'): "FORMAT_NCHW",
    MINIMAL + 'input { name: "mask" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }': "nightlift.takes_pictures",
    MINIMAL + SAME_SIZE % "image": "is for models whose nightlift.takes_pictures is false",
    MINIMAL + 'parameters { key: "nightlift.takes_pictures" value { string_value: "no" } }': "must be true or false",
    MINIMAL + 'output { name: "mask" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }': "'mask' is not known",
    MINIMAL + 'optimization { execution_accelerators { gpu_execution_accelerator { name: "auto_io" } } }': (
        "allowed is 'tensorrt'"
    ),
    MINIMAL + 'model_warmup { name: "w" inputs { key: "image" value { dims: [ 8, 8, 3 ] input_data_file: "x" } } }': (
        "input_data_file"
    ),
    MINIMAL + 'model_warmup { name: "w" inputs { key: "image" value { dims: [ 8 ] zero_data: true } } }': (
        "input 'image' has dims [8]; [-1, -1, 3] are declared"
    ),
    MINIMAL + 'parameters { key: "nightlift.halo" value { string_value: "wide" } }': "nightlift.halo is 'wide'",
    MINIMAL + 'parameters { key: "nightlift.scores" value { string_value: "{psnr: 18}" } }': "nightlift.scores",
    MINIMAL + 'parameters { key: "nightlift.scores" value { string_value: "{\\"psnr\\": NaN}" } }': "without NaN",
    MINIMAL + 'parameters { key: "nightlift.scores" value { string_value: "[18]" } }': "must be a JSON object",
    MINIMAL
    + r'parameters { key: "nightlift.scores" value { string_value: "{\"a\": \"\\ud800\"}" } }': "nightlift.scores",
    MINIMAL + 'parameters { key: "nightlift.spatial_scope" value { string_value: "near" } }': "spatial_scope",
    MINIMAL + "dynamic_batching { max_queue_dealy_microseconds: 5 }": "max_queue_dealy_microseconds",
    MINIMAL + "\x00": "config.pbtxt",
    "": "neither platform nor backend",
}


OWN = """
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "proxy" data_type: TYPE_FP32 dims: [ -1, -1, 3 ] }
input { name: "exposure" data_type: TYPE_FP16 dims: [ 1 ] }
input { name: "mask" data_type: TYPE_BOOL dims: [ -1, -1, 1 ] }
output { name: "affine" data_type: TYPE_FP32 dims: [ -1, -1, 7 ] }
output { name: "brightness" data_type: TYPE_FP32 dims: [ -1 ] }
parameters { key: "nightlift.takes_pictures" value { string_value: "false" } }
"""
OWN_WARM_UP = """model_warmup { name: "w" batch_size: 2 count: 3
  inputs { key: "exposure" value { data_type: TYPE_FP16 dims: [ 1 ] zero_data: true } }
  inputs { key: "mask" value { data_type: TYPE_BOOL dims: [ 20, 30, 1 ] random_data: true } }
  inputs { key: "proxy" value { data_type: TYPE_FP32 dims: [ 20, 30, 3 ] random_data: true } } }
"""


def test_a_model_with_tensors_of_its_own(read: Read) -> None:
    assert read(MINIMAL).takes_pictures
    config = read(OWN + SAME_SIZE % "proxy, mask" + OWN_WARM_UP)
    assert not config.takes_pictures
    assert [(spec.name, spec.datatype, spec.dims) for spec in config.inputs] == [
        ("proxy", "FP32", (-1, -1, 3)),
        ("exposure", "FP16", (1,)),
        ("mask", "BOOL", (-1, -1, 1)),
    ]
    assert [config.wire_shape(spec) for spec in config.outputs] == [(-1, -1, -1, 7), (-1, -1)]
    assert config.same_size == ("proxy", "mask")
    assert config.warmup == (
        WarmupSample(
            (
                WarmupTensor("proxy", (2, 20, 30, 3), random=True),
                WarmupTensor("exposure", (2, 1), random=False),
                WarmupTensor("mask", (2, 20, 30, 1), random=True),
            ),
            3,
        ),
    )
    assert (config.traits.map_layout, config.traits.smallest_side) == (0, 1)


def test_the_batch_may_lie_in_the_dims_of_a_warm_up_too(read: Read) -> None:
    """As Triton has it where `max_batch_size` is 0; without, as many as `batch_size` says."""
    own = """platform: "onnxruntime_onnx"
    input { name: "proxy" data_type: TYPE_FP32 dims: [ -1, -1, 3 ] }
    output { name: "brightness" data_type: TYPE_FP32 dims: [ -1 ] }
    parameters { key: "nightlift.takes_pictures" value { string_value: "false" } }
    model_warmup { name: "w" batch_size: %d inputs {
        key: "proxy" value { data_type: TYPE_FP32 dims: [ %s ] zero_data: true } } }"""
    for batch_size, dims in ((1, "4, 20, 3"), (4, "20, 3")):
        [sample] = read(own % (batch_size, dims)).warmup
        assert sample.inputs[0].shape == (4, 20, 3)


OWN_REFUSED = {
    OWN.replace('name: "mask"', 'name: "proxy"'): "the names are ['proxy', 'exposure', 'proxy']",
    OWN.replace('name: "mask"', 'name: ""'): "a name of its own",
    OWN.split("output")[0] + TAKES_NO_PICTURES: "at least one output",
    OWN.replace("TYPE_BOOL", "TYPE_STRING"): "input 'mask' has no numbers; allowed are BOOL, UINT8",
    OWN.replace("TYPE_BOOL", "TYPE_BF16"): "input 'mask' has no numbers",
    OWN.replace("dims: [ 1 ]", "dims: [ 0 ]"): "'exposure' has dims [0]; there must be 1 to 7, each positive or -1",
    OWN.replace("dims: [ 1 ]", "dims: [ -2 ]"): "'exposure' has dims [-2]",
    OWN.replace("dims: [ 1 ]", "dims: [ 1, 1, 1, 1, 1, 1, 1, 1 ]"): "1 to 7",
    OWN.replace("dims: [ 1 ]", ""): "'exposure' has dims []",
    OWN.replace("max_batch_size: 8", ""): "the first of all dims is the batch",
    OWN.replace('name: "mask"', 'name: "mask" optional: true'): "optional inputs",
    OWN.replace('name: "mask"', 'name: "mask" format: FORMAT_NCHW'): "FORMAT_NCHW is not supported",
    OWN + SAME_SIZE % "proxy": "two or more of the inputs ['proxy', 'mask']",
    OWN + SAME_SIZE % "proxy, exposure": "is ['proxy', 'exposure']; it must name two or more",
    OWN + OWN_WARM_UP.replace('"mask"', '"musk"'): "its inputs are ['exposure', 'musk', 'proxy']; they must be",
    OWN + OWN_WARM_UP.replace("TYPE_BOOL", "TYPE_UINT8"): "input 'mask' is UINT8; it is declared as BOOL",
    OWN + OWN_WARM_UP.replace("30, 3 ]", "30, 4 ]"): "input 'proxy' has dims [20, 30, 4]; [-1, -1, 3] are declared",
    OWN + OWN_WARM_UP.replace("[ 20, 30, 1 ]", "[ 0, 30, 1 ]"): "input 'mask' has dims [0, 30, 1]",
    OWN + OWN_WARM_UP.replace("count: 3", "count: 101"): "100 passes",
    OWN + OWN_WARM_UP.replace("20, 30, 1 ]", "4000, 4000, 1 ]"): "16000000 pixels",
}


@pytest.mark.parametrize(
    ("text", "reason"), [*REFUSED.items(), *OWN_REFUSED.items()], ids=range(len(REFUSED) + len(OWN_REFUSED))
)
def test_refusals_say_why(read: Read, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert str(refused.value).startswith("dusk/config.pbtxt: ")
    assert reason in str(refused.value)


def test_every_top_level_field_is_accounted_for() -> None:
    """A field that a newer Triton adds must be put into the table before it is accepted in silence."""
    known = {
        *("name", "platform", "backend", "max_batch_size", "input", "output", "default_model_filename"),
        *("version_policy", "instance_group", "model_warmup", "parameters", "dynamic_batching", "optimization"),
        *("response_cache", "metric_tags", "model_metrics", "model_operations", "cc_model_filenames", "runtime"),
        *("ensemble_scheduling", "sequence_batching", "model_transaction_policy", "batch_input", "batch_output"),
        "model_repository_agents",
    }
    assert {field.name for field in pb.ModelConfig.DESCRIPTOR.fields} == known


def test_a_binary_file_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError):
        read_config(tmp_path)
