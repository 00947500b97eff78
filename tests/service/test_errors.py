"""What errors tell callers."""

from __future__ import annotations

from service.errors import MAX_DETAIL, ModelNotFound, RateLimited


def test_a_detail_is_short_whatever_it_quotes() -> None:
    for error in (ModelNotFound(f"there is no model {'x' * 100_000!r}"), RateLimited("x" * 5000, 1.0)):
        assert len(error.detail) == len(str(error)) == MAX_DETAIL
        assert error.detail.endswith("...")
    assert ModelNotFound("x" * MAX_DETAIL).detail == "x" * MAX_DETAIL
