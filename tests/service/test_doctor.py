"""What the doctor finds in good and in broken installations."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest
import trustme

from service.admission import Scope, add_key
from service.doctor import IDENTITY, Finding, Level, examine, exit_status
from service.settings import Settings
from tests.repositories import make_repository
from tests.restorers import make_restorer
from tests.tensor_models import make_tensor_model


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
    assert about("CPUExecutionProvider", found) == Finding(Level.OK, "CPUExecutionProvider", "works")
    assert "CPU core(s)" in about("hardware", found).text
    model = about("model brighten", found)
    assert model.level is Level.OK
    assert "runs on cpu (CPUExecutionProvider) in process, since NIGHTLIFT_DEVICE is cpu" in model.text


def test_a_default_that_takes_no_pictures_is_an_error(tmp_path: Path) -> None:
    root = make_tensor_model(make_repository(tmp_path), "mapper")
    assert exit_status(findings(root)) == 0
    found = findings(root, default_model="mapper")
    assert about("model mapper", found).level is Level.OK
    [error] = [finding for finding in found if finding.level is Level.ERROR]
    assert "mapper is the default model but takes no pictures, only its own tensors" in error.text


def test_a_misspelt_setting_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTLIFT_KEY_FILE", "/etc/keys")
    found = findings(make_repository(tmp_path))
    assert exit_status(found) == 1
    assert "did you mean NIGHTLIFT_KEYS_FILE?" in about("settings", found).text


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
    problems = [finding for finding in found if finding.level is Level.ERROR]
    assert ["dawn" in problem.text for problem in problems] == [True]
    assert "brighten" in problems[0].advice


@pytest.mark.parametrize("broken", ["config.pbtxt", "1/model.onnx"])
def test_a_model_that_cannot_be_served_is_a_problem(tmp_path: Path, broken: str) -> None:
    root = make_repository(tmp_path, ("brighten", "broken"))
    (root / "broken" / broken).write_bytes(b"garbage")
    found = findings(root)
    assert exit_status(found) == 1
    assert about("model broken", found).level is Level.ERROR
    assert about("model brighten", found).level is Level.OK
    assert exit_status(findings(root, models="brighten")) == 0  # where it is not wanted, it does not matter


def test_a_configuration_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("brighten", "broken"))
    (root / "broken/config.pbtxt").unlink()
    (root / "broken/config.pbtxt").mkdir()
    found = findings(root)
    assert "broken/config.pbtxt cannot be read" in about("model broken", found).text
    assert about("model brighten", found).level is Level.OK


def test_a_map_model_that_is_missing_or_none_is_a_problem(tmp_path: Path) -> None:
    named = 'parameters { key: "nightlift.map_model" value { string_value: "mapper" } }'
    root = make_repository(tmp_path, extra=named)
    (problem,) = (finding for finding in findings(root) if finding.level is Level.ERROR)
    assert problem.text == "its colour maps are made by mapper, which is missing"
    make_repository(root, ("mapper",))
    (problem,) = (finding for finding in findings(root) if finding.level is Level.ERROR)
    assert problem.text == "its map_model mapper takes pictures, not proxies"
    make_tensor_model(root, "mapper")
    assert exit_status(findings(root)) == 0


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="only a machine without CUDA can show this"
)
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


def test_who_may_call_is_looked_at(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "models")
    assert not {"TLS", "keys"} & {finding.subject for finding in findings(root)}
    found = findings(root, host="0.0.0.0", model_control=True)
    assert about("TLS", found).level is about("keys", found).level is Level.NOTE
    assert about("keys", found).text == "everybody who can reach 0.0.0.0 may call, and change which models are loaded"
    add_key(tmp_path / "keys.json", "phone", frozenset({Scope.ENHANCE, Scope.ADMIN}))
    found = findings(root, keys_file=tmp_path / "keys.json")
    assert about("keys", found) == Finding(Level.OK, "keys", "phone (admin, enhance)")
    found = findings(root, keys_file=tmp_path / "absent.json")
    assert about("keys", found).level is Level.ERROR


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (90, Level.OK, "for localhost, 127.0.0.1 is valid until 20..-..-..; clients need one signed by server.pem"),
        (3, Level.NOTE, "is valid until"),
        (-3, Level.ERROR, "server.pem is invalid: certificate has expired"),
    ],
)
def test_a_certificate_is_tried_and_its_last_day_is_told(tmp_path: Path, days: int, level: Level, words: str) -> None:
    now = datetime.now(UTC)
    issued = trustme.CA().issue_cert(
        "localhost", "127.0.0.1", not_before=now - timedelta(days=30), not_after=now + timedelta(days=days)
    )
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    (tmp_path / "server.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    files = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_client_ca": "server.pem"}
    found = findings(make_repository(tmp_path), **{name: tmp_path / file for name, file in files.items()})
    assert about("TLS", found).level is level
    assert re.search(words, about("TLS", found).text)
    other = tmp_path / "other.key"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    found = findings(tmp_path, tls_certificate=tmp_path / "server.pem", tls_key=other)
    assert "KEY_VALUES_MISMATCH" in about("TLS", found).text


def test_a_restorer_is_looked_for(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    missing = findings(root)
    assert about("restorer", missing).level is Level.NOTE
    assert "nightlift_restorer is missing" in about("restorer", missing).text
    assert about("restorer", findings(root, restorer="cleaner")).level is Level.ERROR
    wrong = about("restorer", findings(root, restorer="brighten"))
    assert wrong.level is Level.ERROR
    assert "'answer' and 'image'" in wrong.text
    make_restorer(root)
    found = findings(root, models=("brighten",))
    assert not [finding for finding in found if finding.subject == "restorer"]
    assert about("model nightlift_restorer", found).level is Level.OK
    assert not [finding for finding in findings(root, restorer="") if finding.subject == "restorer"]
