"""A short run of the fuzzer: the same requests and the same judgement as `python -m tests.reliability.fuzz`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.reliability.fuzz_inputs import GENERATORS, FuzzedRequest, request
from tests.reliability.fuzz_target import LIMITS, Answer, FoundFault, InProcess, check_over_socket, judge
from tests.repositories import make_repository
from tests.servers import serving

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
ENHANCE = FuzzedRequest("picture", "POST", "/enhance")


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One event loop for the service of this module."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def service(loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A service in this process."""
    target = InProcess(tmp_path_factory.mktemp("fuzz"))
    loop.run_until_complete(target.__aenter__())
    yield target
    loop.run_until_complete(target.__aexit__())


@pytest.mark.parametrize("generate", GENERATORS, ids=lambda generate: generate.__name__)
def test_no_request_breaks_the_service(
    service: InProcess, loop: asyncio.AbstractEventLoop, generate: st.SearchStrategy
) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.randoms(use_true_random=False))
    def check(random: Random) -> None:
        loop.run_until_complete(service.check(generate(random)))

    check()


def test_a_path_that_is_no_text_gets_its_problem(service: InProcess, loop: asyncio.AbstractEventLoop) -> None:
    odd = FuzzedRequest("stray", "POST", "/\udcff", headers=[("content-length", "99999999999")])
    assert loop.run_until_complete(service.check(odd)) == "413"


def test_nor_over_a_socket(tmp_path: Path) -> None:
    random = Random(11)
    with serving(make_repository(tmp_path / "models"), tmp_path, **LIMITS) as server:
        kinds = {
            check_over_socket(server, one) for one in (request(random) for _ in range(120)) if one.method != "gRPC"
        }
        assert {"200", "400", "415", "422"} <= kinds
        assert "Traceback" not in server.log_text()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"content-type": "application/problem+json"}, b'{"status": 500, "title": "x"}'),
        Answer(502, {}, b""),
        Answer(0),
        Answer(503, {"content-type": "application/problem+json"}, b'{"status": 503, "title": "x"}'),
        Answer(504, {"content-type": "application/json"}, b"{}"),
        Answer(200, {"content-type": "image/png"}, b""),
        Answer(200, {"content-type": "image/png"}, b"x", seconds=60),
    ],
)
def test_the_judge_can_object(answer: Answer) -> None:
    with pytest.raises(FoundFault):
        judge(ENHANCE, answer)
