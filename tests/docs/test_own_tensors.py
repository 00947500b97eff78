"""The model with tensors of its own in docs/adding_a_network.md, made, served and called as the documents say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

from tests.docs.documents import ROOT, blocks
from tests.docs.ledger import Runner, commands_of
from tests.repositories import make_repository
from tests.servers import serving

FILES = ("make_relight.py", "models/relight/config.pbtxt")


def test_the_example_is_made_served_and_called(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs/adding_a_network.md"):
        if block.file in FILES:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text)
    [command] = commands_of(Runner.OWN_TENSORS)
    words = [sys.executable, *command.split()[1:]]
    subprocess.run(words, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=300)
    repository = make_repository(tmp_path / "models")
    with serving(repository, tmp_path, default_model="brighten", required_models="brighten,relight") as server:
        [client] = [one.text for one in blocks(ROOT / "docs/protocol.md") if '"relight"' in one.text]
        text = client.replace(":8000", f":{server.port}")
        told = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout
        [promised] = re.findall(r"print\(.*\)  # (.*)", client)
        assert told.strip() == promised

        with triton.InferenceServerClient(server.grpc) as grpc:
            random = np.random.default_rng(0)
            arrays = {
                "exposure": random.uniform(-1, 1, (3, 1)).astype(np.float32),
                "light": random.random((3, 20, 24, 1), np.float32),
                "photo": random.integers(0, 256, (3, 20, 24, 3), np.uint8),
            }
            inputs = []
            for name, array in arrays.items():
                inputs.append(triton.InferInput(name, array.shape, "UINT8" if name == "photo" else "FP32"))
                inputs[-1].set_data_from_numpy(array)
            relit = grpc.infer("relight", inputs).as_numpy("relit")
        gain = arrays["light"] * np.exp2(arrays["exposure"])[:, :, None, None]
        assert np.abs(relit - np.clip(arrays["photo"] * gain, 0, 255)).max() < 1.01  # fractions are cut off
