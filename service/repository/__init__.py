"""A Triton-style model repository: folders, versions, config.pbtxt, and what a model says about itself."""

from service.contract import AFFINE, ENHANCED, IMAGE, MapLayout, ModelTraits, SpatialScope
from service.repository._config import (
    Batching,
    ConfigError,
    InstanceGroup,
    ModelConfig,
    TensorSpec,
    WarmupSample,
    read_config,
)
from service.repository._repository import ModelRepository, ModelVersion

__all__ = [
    "AFFINE",
    "ENHANCED",
    "IMAGE",
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
    "read_config",
]
