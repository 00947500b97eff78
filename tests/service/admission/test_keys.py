"""Making, keeping, finding and revoking keys."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.admission import Scope, add_key, read_keys, revoke_key
from service.admission._keys import POLL_SECONDS, Keyring

ENHANCE = frozenset({Scope.ENHANCE})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_kept_as_its_hash_alone(path: Path) -> None:
    text = add_key(path, "phone", frozenset({Scope.ENHANCE, Scope.ADMIN}), requests_per_second=5.0)
    prefix, id, secret = text.split("_", 2)
    assert (prefix, len(id), len(secret)) == ("nightlift", 8, 43)
    (kept,) = json.loads(path.read_text())["keys"]
    assert secret not in path.read_text()
    assert (kept["name"], kept["id"], sorted(kept["scopes"])) == ("phone", id, ["admin", "enhance"])
    assert kept["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert kept["requests_per_second"] == 5


def test_a_new_file_is_for_its_owner_alone_and_keeps_what_it_was_given(path: Path) -> None:
    add_key(path, "one", ENHANCE)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    add_key(path, "two", ENHANCE)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]
    if os.geteuid() == 0:  # nobody else can give files away
        os.chown(path, 10001, 10001)
        revoke_key(path, "two")
        assert (path.stat().st_uid, path.stat().st_gid) == (10001, 10001)


def test_only_the_whole_key_is_found(path: Path) -> None:
    text, other = add_key(path, "phone", ENHANCE), add_key(path, "tablet", ENHANCE)
    keys = Keyring(path)
    found = keys.find(text)
    assert found is not None
    assert found.name == "phone"
    last = "A" if text[-1] != "A" else "B"
    for wrong in (
        "",
        "nightlift",
        text[:-1],
        text + "A",
        text[:-1] + last,
        text.upper(),
        f" {text}",
        text[:18] + other[18:],
    ):
        assert keys.find(wrong) is None, wrong


def test_changes_are_seen_within_a_second_and_broken_files_are_not_believed(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("service.admission._keys.time.monotonic", lambda: now)
    first = add_key(path, "first", ENHANCE)
    keys = Keyring(path)
    second = add_key(path, "second", ENHANCE)
    assert keys.find(second) is None
    now += POLL_SECONDS
    assert keys.find(second) is not None
    revoke_key(path, "first")
    now += POLL_SECONDS
    assert keys.find(first) is None
    for broken in ("", '{"keys": [{"name": "first"}]}', "[]"):
        path.write_text(broken)
        now += POLL_SECONDS
        assert keys.find(second) is not None
    assert caplog.text.count("stay valid") == 3
    path.unlink()
    now += POLL_SECONDS
    assert keys.find(second) is not None


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("", {}, "name"),
        ("two words", {}, "name"),
        ("a" * 65, {}, "name"),
        ("../x", {}, "name"),
        ("fine", {"requests_per_second": 0.0}, "requests_per_second: .*greater than 0"),
        ("fine", {"burst": 0}, "burst: .*greater than or equal to 1"),
    ],
)
def test_what_is_not_allowed_is_said_and_nothing_is_written(
    path: Path, name: str, limits: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        add_key(path, name, ENHANCE, **limits)
    assert not path.exists()


def test_names_are_taken_once_and_unknown_ones_cannot_be_revoked(path: Path) -> None:
    add_key(path, "phone", ENHANCE)
    with pytest.raises(ValueError, match="a key named 'phone' already exists"):
        add_key(path, "phone", ENHANCE)
    with pytest.raises(ValueError, match="key 'tablet' not found; the keys are: phone"):
        revoke_key(path, "tablet")
    with pytest.raises(ValueError, match=r"keys\.json cannot be changed: No such file"):
        add_key(path.parent / "absent" / "keys.json", "x", ENHANCE)


def test_errors_tell_nothing_of_what_is_in_the_file(path: Path) -> None:
    add_key(path, "phone", ENHANCE)
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "secret'))
    with pytest.raises(ValueError, match=r"keys\.0\.sha256") as caught:
        read_keys(path)
    assert "secret" not in str(caught.value)
    twice = json.loads(path.read_text().replace("secret", ""))["keys"] * 2
    path.write_text(json.dumps({"keys": twice}))
    with pytest.raises(ValueError, match="'phone' is there twice"):
        Keyring(path)


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=add_key, args=(path, f"key-{number}", ENHANCE)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_keys(path).keys) == 20


@pytest.fixture
def public_path() -> Iterator[Path]:
    """Where a file of keys that other users may read can be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name) / "keys.json"


def test_a_revocation_that_could_not_be_read_at_first_holds_once_it_can(public_path: Path) -> None:
    """By a process without root's rights: the file is made readable by its mode alone, after it was written."""
    path = public_path
    key = add_key(path, "phone", ENHANCE)
    path.chmod(0o644)
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHING, path, key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )

    def is_known() -> str:
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.write("\n")
        watcher.stdin.flush()
        return watcher.stdout.readline().strip()

    with watcher:
        assert is_known() == "True"
        state = path.stat()
        revoke_key(path, "phone")
        path.chmod(0)
        time.sleep(POLL_SECONDS + 0.1)
        assert is_known() == "True"
        path.chmod(0o644)
        os.utime(path, ns=(state.st_atime_ns, path.stat().st_mtime_ns))
        time.sleep(POLL_SECONDS + 0.1)
        assert is_known() == "False"


ROOT = Path(__file__).resolve().parents[3]
WATCHING = """
import os, sys
from pathlib import Path
from service.admission._keys import Keyring
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
keys = Keyring(Path(sys.argv[1]))
for _ in sys.stdin:
    print(keys.find(sys.argv[2]) is not None, flush=True)
"""
