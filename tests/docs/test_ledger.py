"""Every command of the documents is run by somebody, who is there and does it."""

from __future__ import annotations

import pytest

from tests.docs.documents import ROOT
from tests.docs.ledger import DOCUMENTED, ENTRIES, Entry, Runner, commands_of, entries_of


@pytest.mark.parametrize(("document", "command"), DOCUMENTED, ids=lambda value: str(value)[:60])
def test_every_command_has_exactly_one_entry(document: str, command: str) -> None:
    assert len(entries_of(command)) == 1, f"{document}: {command}: say in tests/docs/ledger.py who runs it"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.pattern[:40])
def test_every_entry_has_a_command_and_a_runner(entry: Entry) -> None:
    assert any(entry in entries_of(command) for _, command in DOCUMENTED)
    source = (ROOT / entry.runner).read_text()
    assert (entry.evidence or f"commands_of(Runner.{entry.runner.name})") in source


def test_a_command_that_nobody_runs_would_be_noticed() -> None:
    assert entries_of("nightlift dream") == []
    assert commands_of(Runner.CLIENTS)
