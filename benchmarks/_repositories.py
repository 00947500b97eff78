"""Copies of a model with a changed configuration, to measure the effect of the change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

MODEL = "zero_dce_improved"


def variant(
    repository: Path, folder: Path, *, instances: int = 1, threads: int = 0, batch: int = 0, delay: float = 0.0
) -> Path:
    """Make a repository in `folder` that contains only `MODEL`, with a changed configuration; returns `folder`.

    Args:
        repository: the repository to copy the model from.
        folder: a new folder.
        instances: number of concurrent instances of the model.
        threads: threads per inference pass; with 0 the service chooses.
        batch: most pictures per batch; 0 leaves batching as it is, which is off on a CPU.
        delay: seconds that a batch waits for requests that are about to arrive.

    Raises:
        ValueError: if the configuration lacks a field that is to be changed.
    """
    shutil.copytree(repository / MODEL, folder / MODEL)
    file = folder / MODEL / "config.pbtxt"
    text = file.read_text(encoding="utf-8")
    text = _replaced(text, r"instance_group \{\s*count: \d+", f"instance_group {{\n  count: {instances}")
    if threads:
        text += f'parameters {{ key: "intra_op_thread_count" value {{ string_value: "{threads}" }} }}\n'
    if batch:
        text = _replaced(text, r"max_batch_size: \d+", f"max_batch_size: {batch}")
        wait = f"dynamic_batching {{\n  max_queue_delay_microseconds: {max(1, round(delay * 1e6))}"
        text = _replaced(text, r"dynamic_batching \{", wait)
    file.write_text(text, encoding="utf-8")
    return folder


def _replaced(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, text)
    if count != 1:
        raise ValueError(f"the configuration has {count} places for {pattern!r}; one is needed")
    return changed
