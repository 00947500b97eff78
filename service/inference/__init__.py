"""Running networks: the models in memory, the queue of each, the batching decision, and the engines."""

from service.inference._batching import BatchPolicy, Bucket, ClosedBy, Cut, InputKind, Wait, Waiting, decide
from service.inference._contract import Engine, EngineInfo, Runner, Tensors
from service.inference._faults import Fault, classify
from service.inference._loading import LoadedModel
from service.inference._models import Models, ModelState, ModelStatus
from service.inference._placement import Engines, cuda_available, cuda_devices, devices, isolated
from service.inference._queue import ArrivalHint, BatchQueue, Outcome
from service.inference._runners import open_runner
from service.inference._statistics import Statistics
from service.inference._threads import any_thread_runs
from service.repository import AFFINE, ENHANCED, IMAGE

__all__ = [
    "AFFINE",
    "ENHANCED",
    "IMAGE",
    "ArrivalHint",
    "BatchPolicy",
    "BatchQueue",
    "Bucket",
    "ClosedBy",
    "Cut",
    "Engine",
    "EngineInfo",
    "Engines",
    "Fault",
    "InputKind",
    "LoadedModel",
    "ModelState",
    "ModelStatus",
    "Models",
    "Outcome",
    "Runner",
    "Statistics",
    "Tensors",
    "Wait",
    "Waiting",
    "any_thread_runs",
    "classify",
    "cuda_available",
    "cuda_devices",
    "decide",
    "devices",
    "isolated",
    "open_runner",
]
