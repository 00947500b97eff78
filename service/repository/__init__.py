"""A Triton-style model repository: folders, versions, config.pbtxt, and what a model says about itself."""

from service.contract import AFFINE, ENHANCED, IMAGE, MapLayout, ModelTraits, SpatialScope
from service.repository._config import (
    Batching,
    ConfigError,
    InstanceGroup,
    ModelConfig,
    read_config,
)
from service.repository._repository import ModelRepository, ModelVersion
from service.repository._tensors import NUMBERS, TensorSpec, WarmupSample, WarmupTensor, fits

__all__ = [
    "AFFINE",
    "ENHANCED",
    "IMAGE",
    "NUMBERS",
    "Batching",
    "ConfigError",
    "InstanceGroup",
    "MapLayout",
    "ModelConfig",
    "ModelRepository",
    "ModelTraits",
    "ModelVersion",
    "SpatialScope",
    "TensorSpec",
    "WarmupSample",
    "WarmupTensor",
    "fits",
    "read_config",
]
