"""Triton's `onnxruntime` backend in Python, for a Triton core that ships without the compiled one.

It serves model.onnx of an unchanged repository; requests of equal shape that the core has batched run as one.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """The interface that the core's Python backend asks for."""

    def initialize(self, args):
        """Open the model file of this version."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = folder / (config["default_model_filename"] or "model.onnx")
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests):
        """Answer all requests, in their order."""
        groups = defaultdict(list)
        for place, request in enumerate(requests):
            arrays = [triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
            groups[tuple(array.shape[1:] for array in arrays)].append((place, arrays))
        responses = [None] * len(requests)
        for members in groups.values():
            joined = [np.concatenate(parts) for parts in zip(*(arrays for _, arrays in members), strict=True)]
            results = self.session.run(self.outputs, dict(zip(self.inputs, joined, strict=True)))
            first = 0
            for place, arrays in members:
                last = first + len(arrays[0])
                rows = [np.ascontiguousarray(result[first:last]) for result in results]
                responses[place] = triton.InferenceResponse(
                    [triton.Tensor(name, row) for name, row in zip(self.outputs, rows, strict=True)]
                )
                first = last
        return responses
