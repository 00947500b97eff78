"""Triton's `pytorch` backend in Python, for a Triton core that ships without the compiled one.

It serves model.pt of an unchanged repository: inputs go to `forward` in the order of the configuration.
"""

import json
from pathlib import Path

import torch
import triton_python_backend_utils as triton


class TritonPythonModel:
    """The interface that the core's Python backend asks for."""

    def initialize(self, args):
        """Load the model file of this version."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        torch.set_num_threads(1)
        self.module = torch.jit.load(str(folder / (config["default_model_filename"] or "model.pt"))).eval()
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests):
        """Answer the requests one by one, in their order."""
        with torch.inference_mode():
            return [self._answer(request) for request in requests]

    def _answer(self, request):
        arrays = [triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
        results = self.module(*(torch.from_numpy(array.copy()) for array in arrays))
        results = results if isinstance(results, tuple) else (results,)
        return triton.InferenceResponse(
            [triton.Tensor(name, result.numpy()) for name, result in zip(self.outputs, results, strict=True)]
        )
