"""Schemathesis reads /openapi.json and calls every operation: what the document says is what the service does.

NIGHTLIFT_SCHEMA_EXAMPLES says how many requests an operation gets at most.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.repositories import make_repository
from tests.servers import Server, serving

HOLDS_PICTURES = ("/enhance", "/infer")
"""Operations whose bodies a schema cannot describe: it says nothing of what is a picture, or fits a model."""

EXAMPLES = int(os.environ.get("NIGHTLIFT_SCHEMA_EXAMPLES", "8"))


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with one small model, whose models may be loaded and unloaded."""
    folder = tmp_path_factory.mktemp("openapi")
    with serving(make_repository(folder / "models"), folder, default_model="brighten", model_control=True) as running:
        yield running


def test_the_service_does_what_its_description_says(open_server: Server, subtests: pytest.Subtests) -> None:
    description = schemathesis.openapi.from_url(f"{open_server.url}/openapi.json")
    for operation in description.get_all_operations():
        with subtests.test(operation.ok().label):
            _check(operation.ok())


def _check(operation: schemathesis.schemas.APIOperation) -> None:
    excluded = [positive_data_acceptance] if operation.path.endswith(HOLDS_PICTURES) else []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )
    )
    def check(case: Case) -> None:
        case.call_and_validate(timeout=30, excluded_checks=excluded)

    check()
