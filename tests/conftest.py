"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout with golden files and real data; tests are skipped where it is absent."""
    folder = SHARED.resolve()
    if not folder.is_dir():
        pytest.skip(f"golden files and data sets are not at hand: no folder {folder}")
    return folder
