"""What the first signal does to a run that finishes its step, and what a second one does, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nightlift._signals import SIGNALS, first_signal

SCRIPT = """
import signal, time
from nightlift._signals import first_signal
with first_signal("it ends soon") as number:
    print("ready", flush=True)
    while number() is None:
        time.sleep(0.01)
    print(number(), flush=True)
    while True:
        time.sleep(1)
"""


@contextmanager
def run(script: str) -> Iterator[subprocess.Popen[str]]:
    """The script, once it is ready."""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_told_and_the_second_ends_at_once(first: signal.Signals, second: signal.Signals) -> None:
    with run(SCRIPT) as process:
        process.send_signal(first)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{int(first)}\n"
        process.send_signal(second)
        assert process.wait(10) == 128 + second
        assert process.stderr is not None
        assert process.stderr.read() == f"{first.name}: it ends soon\n"


def test_what_was_ignored_from_the_start_stays_ignored() -> None:
    deaf = SCRIPT.replace("with first", "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwith first")
    with run(deaf) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{int(signal.SIGTERM)}\n"


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with first_signal("it ends soon"):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
