"""Files that change while they are watched; what could not be read is not taken for read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.file_watcher import RETRY_SECONDS, FileWatcher


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "file"
    path.write_text("first")
    return path


def test_a_change_is_one_until_it_was_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("service.file_watcher.time.monotonic", lambda: now)
    watcher = FileWatcher(path)
    assert not watcher.changed()
    path.write_text("second, longer")
    assert watcher.changed()
    assert watcher.reject()
    assert not watcher.changed()  # for a while
    now += RETRY_SECONDS
    assert watcher.changed()
    assert not watcher.reject()  # nothing new to say of it
    now += RETRY_SECONDS
    assert watcher.changed()
    watcher.accept()
    assert not watcher.changed()


def test_a_change_of_mode_is_one(path: Path) -> None:
    """Whoever writes a file first and makes it readable then changes neither its time, its size nor its number."""
    watcher = FileWatcher(path)
    path.write_text("second, longer")
    assert watcher.changed()
    watcher.reject()
    state = path.stat()
    path.chmod(0o640)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watcher.changed()


def test_a_file_that_has_gone_is_no_change(path: Path) -> None:
    watcher = FileWatcher(path)
    path.unlink()
    assert not watcher.changed()
    path.write_text("again")
    assert watcher.changed()
