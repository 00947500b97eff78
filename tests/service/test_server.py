"""What the service says at its start of who can reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.server import open_to_strangers
from service.settings import Settings

KEYS = Path("keys.json")
AUTHORITY = {name: Path("x.pem") for name in ("tls_certificate", "tls_key", "tls_client_ca")}


@pytest.mark.parametrize(
    ("settings", "is_open"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "192.168.1.5"}, True),
        ({"host": "photos.example"}, True),
        ({"host": "0.0.0.0", "keys_file": KEYS}, False),
        ({"host": "0.0.0.0", **AUTHORITY}, False),
        ({"host": "0.0.0.0", "tls_certificate": Path("x.pem"), "tls_key": Path("x.pem")}, True),
    ],
)
def test_a_service_that_asks_nobody_who_they_are_says_so(settings: dict, is_open: bool) -> None:
    warning = open_to_strangers(Settings(**settings))
    assert bool(warning) is is_open
    if is_open:
        assert settings["host"] in warning
        assert "NIGHTLIFT_KEYS_FILE" in warning


def test_it_says_what_they_can_do() -> None:
    assert "unload its models" in open_to_strangers(Settings(host="0.0.0.0", model_control=True))
