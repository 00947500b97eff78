"""A Triton-style model repository: folders, versions, config.pbtxt, and what a model says about itself."""

from service.repository._traits import ModelTraits, SpatialScope

__all__ = ["ModelTraits", "SpatialScope"]
