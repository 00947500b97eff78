"""What the doctor finds in good and in broken installations."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from service.doctor import IDENTITY, Finding, Level, examine, exit_status
from service.settings import Settings
from tests.repositories import make_repository


def findings(root: Path, **settings: Any) -> list[Finding]:
    return list(
        examine(Settings(model_repository=root, **{"default_model": "brighten", "device": "cpu", **settings}))
    )


def about(subject: str, found: list[Finding]) -> Finding:
    """The first finding about a subject."""
    return next(finding for finding in found if finding.subject == subject)


def test_the_graph_that_providers_are_tried_with() -> None:
    session = ort.InferenceSession(IDENTITY, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1]


def test_a_good_installation(tmp_path: Path) -> None:
    found = findings(make_repository(tmp_path))
    assert exit_status(found) == 0
    assert "onnxruntime " in about("installed", found).text
    assert about("CPUExecutionProvider", found) == Finding(Level.FINE, "CPUExecutionProvider", "works")
    assert "CPU core(s)" in about("hardware", found).text
    model = about("model brighten", found)
    assert model.level is Level.FINE
    assert "runs on cpu (CPUExecutionProvider) in process, since NIGHTLIFT_DEVICE is cpu" in model.text


def test_why_a_model_runs_where_it_does(tmp_path: Path) -> None:
    root = make_repository(tmp_path, extra="instance_group { kind: KIND_CPU count: 2 }")
    text = about("model brighten", findings(root, engine_isolation="process")).text
    assert "runs on cpu, cpu (CPUExecutionProvider) in a child process of each device" in text
    assert "its instance_group says so" in text


def test_licence_and_warnings_are_shown(tmp_path: Path) -> None:
    licence = 'parameters { key: "nightlift.licence" value { string_value: "Research only." } }'
    root = make_repository(tmp_path, extra=licence + "response_cache { enable: true }")
    texts = [finding.text for finding in findings(root) if finding.subject == "model brighten"]
    assert "licence: Research only." in texts
    assert any("response_cache" in text for text in texts)


def test_an_empty_repository_is_a_problem(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert exit_status(found) == 1
    assert "NIGHTLIFT_MODEL_REPOSITORY" in about("repository", found).advice


def test_a_required_model_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    found = findings(make_repository(tmp_path), default_model="dawn")
    problems = [finding for finding in found if finding.level is Level.PROBLEM]
    assert ["dawn" in problem.text for problem in problems] == [True]
    assert "brighten" in problems[0].advice


@pytest.mark.parametrize("broken", ["config.pbtxt", "1/model.onnx"])
def test_a_model_that_cannot_be_served_is_a_problem(tmp_path: Path, broken: str) -> None:
    root = make_repository(tmp_path, ("brighten", "broken"))
    (root / "broken" / broken).write_bytes(b"garbage")
    found = findings(root)
    assert exit_status(found) == 1
    assert about("model broken", found).level is Level.PROBLEM
    assert about("model brighten", found).level is Level.FINE
    assert exit_status(findings(root, models="brighten")) == 0  # where it is not wanted, it does not matter


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="no machine without CUDA")
def test_a_device_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    found = findings(make_repository(tmp_path), device="cuda")
    assert exit_status(found) == 1
    assert "CUDAExecutionProvider" in about("model brighten", found).text


def test_a_triton_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"127.0.0.1:{free.getsockname()[1]}"
    found = findings(make_repository(tmp_path), engine="triton", triton_url=url)
    assert exit_status(found) == 1
    assert url in about("triton", found).text
