"""Settings are checked when they are read, and what looks like one and is none is told of."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.settings import Settings, misspelt_settings


@pytest.mark.parametrize("device", ["cudaX", "gpu-cpu", "cuda:x", "cpu0", ""])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(ValidationError):
        Settings(device=device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    assert Settings(device=device).device == device


def test_the_port_that_kubernetes_sets_for_a_service_of_our_name_is_not_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NIGHTLIFT_PORT", "tcp://10.96.0.7:8000")
    assert Settings().port == 8000
    monkeypatch.setenv("NIGHTLIFT_PORT", "tcp")
    with pytest.raises(ValidationError):
        Settings()


def test_misspelt_settings_are_named_with_what_was_meant() -> None:
    (sentence,) = misspelt_settings(["NIGHTLIFT_MAX_BODY_BYTE", "NIGHTLIFT_MAX_PIXELS", "PATH"])
    assert sentence == (
        "NIGHTLIFT_MAX_BODY_BYTE is not a setting and has no effect; did you mean NIGHTLIFT_MAX_BODY_BYTES?"
    )
    assert "did you mean" not in misspelt_settings(["NIGHTLIFT_ZZZ"])[0]


def test_variables_of_the_command_line_and_of_kubernetes_are_left_alone() -> None:
    names = ["NIGHTLIFT_API_KEY", "NIGHTLIFT_SERVICE_HOST", "NIGHTLIFT_SERVICE_PORT_HTTP", "NIGHTLIFT_PORT_8000_TCP"]
    assert misspelt_settings([*names, "NIGHTLIFT_PORT_8000_TCP_ADDR", "NIGHTLIFT_CANARY_PORT"]) == []


def test_former_names_of_settings_are_understood_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTLIFT_HEAD_TIMEOUT", "3")
    assert Settings().header_timeout == 3
    (sentence,) = misspelt_settings(["NIGHTLIFT_HEAD_TIMEOUT"])
    assert "is now NIGHTLIFT_HEADER_TIMEOUT" in sentence
    monkeypatch.setenv("NIGHTLIFT_HEADER_TIMEOUT", "4")
    assert Settings().header_timeout == 4
