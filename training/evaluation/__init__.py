"""Evaluation: scores of exported models and checkpoints, with methods without a network as baselines."""

from training.evaluation._evaluate import evaluate
from training.evaluation._metrics import match_mean, psnr, ssim
from training.evaluation._models import EvaluatedModel, network_as_model, open_model
from training.evaluation._niqe import NaturalStatistics, load_natural_statistics, niqe
from training.evaluation._plain import PLAIN, TARGET_MEAN
from training.evaluation._tables import Evaluation, ModelFacts, Row

__all__ = [
    "PLAIN",
    "TARGET_MEAN",
    "EvaluatedModel",
    "Evaluation",
    "ModelFacts",
    "NaturalStatistics",
    "Row",
    "evaluate",
    "load_natural_statistics",
    "match_mean",
    "network_as_model",
    "niqe",
    "open_model",
    "psnr",
    "ssim",
]
