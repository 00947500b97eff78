"""Copies of a served model with another configuration, for measurements of what the configuration changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

MODEL = "zero_dce_improved"


def variant(
    repository: Path, folder: Path, *, instances: int = 1, threads: int = 0, batch: int = 0, delay: float = 0.0
) -> Path:
    """A repository in `folder` with `MODEL` alone, changed; gives `folder`.

    Args:
        repository: where the model is.
        folder: a new folder.
        instances: copies of the model that run side by side.
        threads: threads inside one pass; 0 leaves them to the service.
        batch: most pictures in a pass; 0 leaves batching as it is, off on a CPU.
        delay: seconds that a batch waits for company in sight.

    Raises:
        ValueError: if the configuration has not the fields that are changed.
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
