"""Learning rates at the points that define each shape."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from training._schedules import Schedule


def _rate(words: dict[str, object], step: int, base: float = 1.0, steps: int = 100) -> float:
    return TypeAdapter(Schedule).validate_python(words).rate(base, step, steps)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"shape": "constant"}, {0: 1.0, 99: 1.0}),
        ({"shape": "cosine", "floor": 0.2}, {0: 1.0, 50: 0.6, 100: 0.2}),
        ({"shape": "cosine", "warmup": 10}, {0: 0.1, 9: 1.0, 10: 1.0, 55: 0.5, 100: 0.0}),
        ({"shape": "stairs", "every": 20, "factor": 0.5}, {19: 1.0, 20: 0.5, 40: 0.25}),
        ({"shape": "oscillating_cosine", "half_period": 10}, {0: 1.0, 10: 0.0, 20: 1.0, 25: 0.5}),
    ],
)
def test_rates(words: dict[str, object], expected: dict[int, float]) -> None:
    for step, rate in expected.items():
        assert _rate(words, step) == pytest.approx(rate, abs=1e-12)


def test_cyclic_cosine_rises_first_where_its_floor_is_above_the_base() -> None:
    """DED-Net's and Retinexformer's recipe: 2e-4 -> 3e-4 in 46,000 steps, then 2e-4 -> 1e-6 in 104,000."""
    words = {"shape": "cyclic_cosine", "cycles": [46_000, 104_000], "floors": [3e-4, 1e-6]}
    expected = {0: 2e-4, 23_000: 2.5e-4, 45_999: 3e-4, 46_000: 2e-4, 98_000: 1.005e-4, 150_000: 1e-6, 200_000: 1e-6}
    for step, rate in expected.items():
        assert _rate(words, step, base=2e-4) == pytest.approx(rate, rel=1e-6)


def test_wrong_words_are_refused() -> None:
    with pytest.raises(ValidationError, match="same length"):
        _rate({"shape": "cyclic_cosine", "cycles": [5], "floors": []}, 0)
    with pytest.raises(ValidationError, match="constant"):
        _rate({"shape": "sawtooth"}, 0)
