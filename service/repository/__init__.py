"""A Triton-style model repository: folders, versions, config.pbtxt, and what a model says about itself."""

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
from service.repository._tensors import AFFINE, ENHANCED, IMAGE
from service.repository._traits import ModelTraits, SpatialScope

__all__ = [
    "AFFINE",
    "ENHANCED",
    "IMAGE",
    "Batching",
    "ConfigError",
    "InstanceGroup",
    "ModelConfig",
    "ModelRepository",
    "ModelTraits",
    "ModelVersion",
    "SpatialScope",
    "TensorSpec",
    "WarmupSample",
    "read_config",
]
