"""Protobuf messages in the JSON that Triton's REST clients know."""

from __future__ import annotations

import json

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from service.protocol import to_json

CONFIG = """
name: "brighten"
max_batch_size: 8
input { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }
version_policy { latest { num_versions: 2 } }
instance_group { kind: KIND_GPU gpus: [ 0, 1 ] }
dynamic_batching { max_queue_delay_microseconds: 500 priority_queue_policy { key: 1 value { max_queue_size: 3 } } }
parameters { key: "nightlift.halo" value { string_value: "7" } }
"""


def test_configurations_read_back_as_they_were() -> None:
    message = text_format.Parse(CONFIG, model_config_pb2.ModelConfig())
    document = to_json(message)
    assert json_format.ParseDict(json.loads(json.dumps(document)), model_config_pb2.ModelConfig()) == message


def test_64_bit_numbers_are_numbers_and_enums_names() -> None:
    document = to_json(text_format.Parse(CONFIG, model_config_pb2.ModelConfig()))
    assert document["input"][0]["dims"] == [-1, -1, 3]
    assert document["input"][0]["data_type"] == "TYPE_UINT8"
    assert document["dynamic_batching"]["max_queue_delay_microseconds"] == 500
    assert document["dynamic_batching"]["priority_queue_policy"]["1"]["max_queue_size"] == 3
    assert document["parameters"] == {"nightlift.halo": {"string_value": "7"}}


def test_what_is_not_set_is_there_only_if_it_is_a_plain_value() -> None:
    document = to_json(text_format.Parse(CONFIG, model_config_pb2.ModelConfig()))
    assert document["backend"] == ""
    assert "ensemble_scheduling" not in document
    assert document["version_policy"] == {"latest": {"num_versions": 2}}


def test_counters_of_zero_are_there() -> None:
    statistics = service_pb2.ModelStatistics(inference_stats={"success": {"count": 0, "ns": 0}})
    assert to_json(statistics)["inference_stats"] == {"success": {"count": 0, "ns": 0}}
    assert to_json(statistics)["inference_count"] == 0
