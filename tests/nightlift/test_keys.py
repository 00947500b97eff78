"""`nightlift keys`, as the documents show it."""

from __future__ import annotations

import shlex
from pathlib import Path

from service.admission import read_keys
from service.admission._keys import Keyring
from tests.docs.ledger import Runner, commands_of
from tests.nightlift.commands import nightlift


def test_keys_are_made_listed_and_revoked_as_documented(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    printed = {}
    for line in commands_of(Runner.KEYS):
        words = shlex.split(line)[1:]
        outcome = nightlift(*words, cwd=tmp_path)
        assert outcome.returncode == 0, outcome.stderr.decode()
        printed[words[1]] = outcome.stdout.decode()
        if words[1] == "create":
            key = Keyring(file).find(printed["create"].strip())
            assert key is not None
            assert (key.name, *key.scopes) == (words[2], words[4])
    assert [key.name for key in read_keys(file).keys] == ["prometheus"]
    assert "phone" in printed["list"]
    assert "metrics" in printed["list"]
    assert read_keys(file).keys[0].sha256[:8] not in printed["list"]


def test_mistakes_are_said_in_one_line(tmp_path: Path) -> None:
    refused = nightlift("keys", "revoke", "phone", "--file", tmp_path / "keys.json")
    assert refused.returncode == 2
    assert refused.stderr.decode().startswith("nightlift: the keys file")
    assert "Traceback" not in refused.stderr.decode()
