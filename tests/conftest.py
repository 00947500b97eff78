"""Fixtures for all tests, and the rule that a test may only be skipped for a reason on the list."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from threading import Thread

import onnxruntime
import pytest

from tests.both_formats import make_both_formats
from tests.map_models import make_map_models

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")

_skips: Counter[str] = Counter()

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's, which is imported later: the cores are shared


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asynchronous tests run on the event loop that the service has."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def subnormals() -> None:
    """Keep the numbers that Hypothesis draws.

    ONNX Runtime takes subnormal numbers as 0 in the thread that makes a process's first session that wants it so, for
    good: let that be none of ours.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    model = ROOT / "model_repository/zero_dce_improved/1/model.onnx"
    first = Thread(target=onnxruntime.InferenceSession, args=(model, options, ["CPUExecutionProvider"]))
    first.start()
    first.join()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout with golden files and real data; tests are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("golden files and data sets are not at hand")
    return SHARED


@pytest.fixture(scope="session")
def both_formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every model that we ship, in ONNX and in TorchScript; read only."""
    return make_both_formats(_folder_of_the_run(tmp_path_factory) / "both_formats")


@pytest.fixture(scope="session")
def map_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of a network that predicts colour maps, and with its two models; read only."""
    return make_map_models(_folder_of_the_run(tmp_path_factory) / "map_models")


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a run."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def allowed_skips() -> list[str]:
    """The reasons for which a test may be skipped: beginnings of pytest's messages."""
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note why a test was skipped."""
    if report.skipped and isinstance(report.longrepr, tuple):
        _skips[report.longrepr[2].removeprefix("Skipped: ")] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, a skip that is not on the list fails the run."""
    if os.environ.get("CI") and _unlisted():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last what was skipped and whether that is allowed."""
    for reason, count in _skips.items():
        mark = "NOT ALLOWED" if reason in _unlisted() else "allowed"
        terminalreporter.write_line(f"skipped {count} ({mark}): {reason}")


def _unlisted() -> list[str]:
    allowed = allowed_skips()
    return [reason for reason in _skips if not any(reason.startswith(start) for start in allowed)]
