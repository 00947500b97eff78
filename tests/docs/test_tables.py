"""Tables of the documents that come from the code are not stale."""

from __future__ import annotations

import pytest

from docs import make_tables
from service.settings import Settings


@pytest.mark.parametrize("path", make_tables.DOCUMENTS, ids=lambda path: path.name)
def test_no_table_is_stale(path) -> None:  # type: ignore[no-untyped-def]
    text = path.read_text(encoding="utf-8")
    assert make_tables.filled(text) == text, "run: make docs"


def test_every_setting_is_described() -> None:
    table = make_tables.settings().splitlines()[2:]
    assert len(table) == len(Settings.model_fields)
    assert all(len(row.split("|")[3].strip()) > 10 for row in table)


def test_a_change_in_the_code_would_be_noticed() -> None:
    text = "<!-- table: settings -->\nold\n<!-- end -->"
    assert "NIGHTLIFT_PORT" in make_tables.filled(text)
