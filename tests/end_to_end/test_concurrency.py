"""Many uploads at once on the models that we ship: every answer is the right one, and equal shapes share passes."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.repository import ModelRepository
from tests.pictures import SCENES, dark_scene, decoded, encoded
from tests.servers import serving

MODEL = "zero_dce_improved"
SIZES = ((48, 64), (64, 96), (96, 64), (101, 75), (80, 80))
UPLOADS = 64
SETTINGS = {"default_model": MODEL, "max_batch_pixels": 1_000_000, "max_queue_seconds": 60}
SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


@pytest.fixture
def batching_repository(tmp_path: Path) -> Path:
    """The shipped model with dynamic batching enabled in its configuration."""
    root = tmp_path / "models"
    shutil.copytree(SHIPPED / MODEL, root / MODEL)
    config = root / MODEL / "config.pbtxt"
    text = config.read_text()
    assert "dynamic_batching {" in text
    config.write_text(
        text.replace("dynamic_batching {", "dynamic_batching {\n  max_queue_delay_microseconds: 20000", 1)
    )
    assert ModelRepository(root).config(MODEL).batching.asked_for
    return root


def test_64_uploads_of_mixed_sizes_come_back_right_and_share_passes(
    batching_repository: Path, tmp_path: Path
) -> None:
    files = [
        encoded(dark_scene(SCENES[index % len(SCENES)], SIZES[index % len(SIZES)], seed=index))
        for index in range(UPLOADS)
    ]
    many = httpx.Limits(max_connections=UPLOADS)
    with (
        serving(batching_repository, tmp_path, **SETTINGS) as server,
        httpx.Client(base_url=server.url, timeout=120, limits=many) as client,
        ThreadPoolExecutor(UPLOADS) as threads,
    ):

        def enhance(file: bytes) -> np.ndarray:
            response = client.post("/enhance", content=file)
            assert response.status_code == 200, response.text
            return decoded(response.content).astype(int)

        alone = [enhance(file) for file in files]
        assert mean_batch(client) == 1
        together = list(threads.map(enhance, files))
        for index, (one, other) in enumerate(zip(alone, together, strict=True)):
            assert one.shape == other.shape, index
            assert np.abs(one - other).max() <= 1, index
        assert mean_batch(client, before=UPLOADS) > 1


def mean_batch(client: httpx.Client, before: int = 0) -> float:
    """Mean of `nightlift_batch_size`, leaving out `before` passes of one picture each."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    values = {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if sample.name in ("nightlift_batch_size_sum", "nightlift_batch_size_count")
    }
    return (values["nightlift_batch_size_sum"] - before) / (values["nightlift_batch_size_count"] - before)
