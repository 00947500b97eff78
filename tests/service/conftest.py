"""One real service for the tests of the Open Inference Protocol; and property tests are made repeatable."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import settings
from prometheus_client.parser import text_string_to_metric_families

from tests.repositories import make_repository
from tests.servers import Server, serving

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

MAX_BODY_BYTES = 3_000_000
MAX_MESSAGES = 4
MAX_JSON_BYTES = 200_000
MAX_WHOLE_PIXELS = 970_000


@pytest.fixture(scope="session")
def protocol_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose models may be loaded and unloaded.

    Its models: `brighten` (versions 1 and 2, a second output `affine`, batches of up to 4), `unbatched` (the batch
    axis lies in `dims`), `slow` (some 0.3 to 2 s a pass, one may wait), `changing` (to be loaded and unloaded), and
    `broken`, which cannot be loaded.
    """
    folder = tmp_path_factory.mktemp("protocol")
    repository = make_repository(folder / "models", versions=(1, 2), affine=True, max_batch_size=4)
    make_repository(repository, ("unbatched",), max_batch_size=0)
    make_repository(repository, ("slow",), slow=2.4, max_queue_size=1)
    make_repository(repository, ("changing",))
    make_repository(repository, ("broken",), extra="model_transaction_policy { decoupled: true }")
    with serving(
        repository,
        folder,
        default_model="brighten",
        cpu_threads=1,  # one pass at a time, so that others wait in the queue
        model_control=True,
        max_body_bytes=MAX_BODY_BYTES,
        max_body_bytes_in_flight=MAX_MESSAGES * MAX_BODY_BYTES,
        max_json_bytes=MAX_JSON_BYTES,
        max_whole_pixels=MAX_WHOLE_PIXELS,
        required_models="brighten,unbatched,slow,changing",
    ) as running:
        yield running


def metric(server: Server, name: str, **labels: str) -> float:
    """One metric of the server, 0 if it is not there yet."""
    text = httpx.get(f"{server.url}/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())
