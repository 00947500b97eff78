"""Which limits hold for a key: its own, each instead of the settings'."""

from __future__ import annotations

import pytest

from service.admission import Scope
from service.admission._keys import make_key
from service.admission._policy import Limits, _limits, _limits_of
from service.admission._rate_limit import Rate

SETTINGS = _limits(2.0, 8, 60.0)
NONE = Limits(None, None)


@pytest.mark.parametrize(
    ("own", "otherwise", "requests", "pixels"),
    [
        ({}, NONE, None, None),
        ({}, SETTINGS, Rate(2, 8), Rate(1e6, 60e6)),
        ({"requests_per_second": 5.0}, SETTINGS, Rate(5, 5), Rate(1e6, 60e6)),
        ({"requests_per_second": 0.1}, NONE, Rate(0.1, 1), None),
        ({"requests_per_second": 5.0, "burst": 20}, NONE, Rate(5, 20), None),
        ({"burst": 20}, SETTINGS, Rate(2, 20), Rate(1e6, 60e6)),
        ({"burst": 20}, NONE, None, None),
        ({"megapixels_per_minute": 6.0}, SETTINGS, Rate(2, 8), Rate(1e5, 6e6)),
    ],
)
def test_limits_of_a_key(
    own: dict[str, float], otherwise: Limits, requests: Rate | None, pixels: Rate | None
) -> None:
    _, key = make_key("phone", frozenset({Scope.ENHANCE}), **own)
    assert _limits_of(key, otherwise) == Limits(requests, pixels)
