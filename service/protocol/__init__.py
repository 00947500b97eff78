"""The Open Inference Protocol without a transport: REST and gRPC are two thin layers over this one data plane.

Metadata, statistics and the repository's index are the protocol's own protobuf messages (gRPC sends them as they are,
REST as their JSON); inference has small values of its own, whose tensors are NumPy arrays over the received bytes.
"""

from service.protocol._data_plane import DataPlane
from service.protocol._json import to_json
from service.protocol._messages import (
    InferenceRequest,
    InferenceResponse,
    Parameter,
    check_entries,
    describe,
    parse_version,
    refuse_unsupported,
)
from service.protocol._tensors import DATATYPES, Tensor, bytes_tensor, from_binary, from_numbers, to_binary

__all__ = [
    "DATATYPES",
    "DataPlane",
    "InferenceRequest",
    "InferenceResponse",
    "Parameter",
    "Tensor",
    "bytes_tensor",
    "check_entries",
    "describe",
    "from_binary",
    "from_numbers",
    "parse_version",
    "refuse_unsupported",
    "to_binary",
    "to_json",
]
