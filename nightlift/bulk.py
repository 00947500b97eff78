"""Enhancing many pictures on many machines: a Ray Data job over a folder or a bucket.

    nightlift bulk s3://photos/dark s3://photos/bright

The job lists the pictures, leaves out finished ones, and passes the names to workers. Each worker is a process with
the service's own backend (the same engine, rendering and codecs as behind `POST /enhance`), which reads, enhances and
writes several pictures at once. Pictures never pass through Ray's object store, and a broken one becomes a line of
the report. Addresses are folders, or URLs that pyarrow reads: s3://, gs://, hdfs://.
"""

from __future__ import annotations

import asyncio
import logging
import os
import posixpath
import threading
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
import ray.data
from pyarrow import fs

from nightlift._backends import Backend, BackendOptions, PictureRefused, open_backend
from nightlift._jobs import find_target, path_within
from service.pictures import is_picture

BATCH = 32
"""Names that a worker gets at a time."""

MAX_CONCURRENT = 4
"""Pictures that a worker processes at one time, so that reading, codecs and network overlap."""

BUCKETS = {"s3", "gcs", "abfs"}
"""pyarrow's names of file systems in which a file appears only when it is complete."""


@dataclass(frozen=True)
class BulkRequest:
    """What the job is to do.

    Attributes:
        source, target: folders or addresses of buckets.
        options: of `POST /enhance`, without those that were not given.
        backend: where the work is done: in the workers, or by a service that they call.
        workers: processes; 0: one for every `cpus` of the cluster.
        cpus: cores that a worker gets; it runs its network on as many threads.
        gpus: GPUs that a worker gets; may be a fraction.
    """

    source: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    backend: BackendOptions = field(default_factory=BackendOptions)
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Report:
    """The outcome of the job.

    Attributes:
        enhanced: number of pictures enhanced now.
        done: number of pictures that were finished before.
        failures: name -> reason, for pictures that could not be enhanced.
    """

    enhanced: int
    done: int
    failures: dict[str, str]


def enhance_bulk(order: BulkRequest) -> Report:
    """Run the job on the Ray cluster that this process is connected to, or on a local one.

    Pictures below the target are never enhanced, even if the target is below the source.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: if it has no picture, or is the target, or a name would be written twice.
    """
    results = _target_within_source(order)
    if results == ".":
        raise ValueError(f"{order.target} is the source; choose another folder for the results")
    names = list_pictures(order.source)
    if results is not None:
        names = {name: time for name, time in names.items() if path_within(results, name) is None}
    if not names:
        raise ValueError(f"no pictures found in {order.source}")
    format = order.options.get("format")
    targets = {name: find_target(Path(name), format)[0].as_posix() for name in names}
    if len(set(targets.values())) < len(targets):
        raise ValueError("two pictures would get the same output name; enhance them into separate folders")
    there = list_pictures(order.target, missing_is_empty=True)
    todo = [name for name in names if targets[name] not in there or there[targets[name]] < names[name]]
    if not todo:
        return Report(0, len(names), {})
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage statistics unless asked to
    ray.init(ignore_reinit_error=True, logging_level=logging.WARNING)
    workers = order.workers or max(1, int(ray.cluster_resources().get("CPU", 1) // order.cpus))
    rows = ray.data.from_items([{"name": name} for name in todo], override_num_blocks=min(len(todo), 4 * workers))
    outcome = rows.map_batches(
        Worker,
        fn_constructor_args=(order,),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(todo))),
        num_cpus=order.cpus,
        num_gpus=order.gpus or None,
    ).take_all()
    failures = {row["name"]: row["failure"] for row in outcome if row["failure"]}
    return Report(len(outcome) - len(failures), len(names) - len(todo), failures)


class Worker:
    """One worker process: an enhancement backend on its own event loop, which Ray calls with batches of names."""

    def __init__(self, order: BulkRequest) -> None:
        self._order = order
        self._source, self._source_root = fs.FileSystem.from_uri(_address(order.source))
        self._target, self._target_root = fs.FileSystem.from_uri(_address(order.target))
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._stack = AsyncExitStack()
        backend = replace(order.backend, threads=order.backend.threads or max(1, round(order.cpus)))
        self._plane: Backend = self._wait(self._stack.enter_async_context(open_backend(backend)))

    def __call__(self, batch: dict[str, Sequence[str]]) -> dict[str, list[str]]:
        """Enhance the named pictures: `name` in; `name` and `failure` ("" for none) out."""
        names = [str(name) for name in batch["name"]]
        return {"name": names, "failure": self._wait(self._all(names))}

    async def _all(self, names: Sequence[str]) -> list[str]:
        gate = asyncio.Semaphore(MAX_CONCURRENT)

        async def one(name: str) -> str:
            async with gate:
                try:
                    await self._one(name)
                except (PictureRefused, OSError) as error:
                    return str(error) or type(error).__name__
                return ""

        return list(await asyncio.gather(*(one(name) for name in names)))

    async def _one(self, name: str) -> None:
        target, format = find_target(Path(name), self._order.options.get("format"))
        data = await asyncio.to_thread(self._read, name)
        answer = await self._plane.enhance(data, {**self._order.options, "format": format})
        await asyncio.to_thread(self._write, target.as_posix(), answer.data)

    def _read(self, name: str) -> bytes:
        with self._source.open_input_stream(posixpath.join(self._source_root, name)) as file:
            return file.read()

    def _write(self, name: str, data: bytes) -> None:
        """Buckets show only complete files; elsewhere a temporary file is renamed when it is complete."""
        path = posixpath.join(self._target_root, name)
        if self._target.type_name in BUCKETS:
            self._put(path, data)
            return
        folder, last = posixpath.split(path)
        part = posixpath.join(folder, f".{last}")
        self._target.create_dir(folder)
        try:
            self._put(part, data)
            self._target.move(part, path)
        except BaseException:
            with suppress(OSError):
                self._target.delete_file(part)
            raise

    def _put(self, path: str, data: bytes) -> None:
        with self._target.open_output_stream(path) as file:
            file.write(data)

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def list_pictures(address: str, *, missing_is_empty: bool = False) -> dict[str, int]:
    """Names of all pictures below an address, relative to it, sorted -> time of last change in nanoseconds.

    Raises:
        FileNotFoundError: if it does not exist, unless `missing_is_empty`.
    """
    system, root = fs.FileSystem.from_uri(_address(address))
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=missing_is_empty))
    names = {posixpath.relpath(entry.path, root): entry.mtime_ns or 0 for entry in found if entry.is_file}
    return {name: names[name] for name in sorted(names) if is_picture(Path(name))}


def _target_within_source(order: BulkRequest) -> str | None:
    source, source_root = fs.FileSystem.from_uri(_address(order.source))
    target, target_root = fs.FileSystem.from_uri(_address(order.target))
    return path_within(source_root, target_root) if source.equals(target) else None


def _address(text: str) -> str:
    return text if "://" in text else Path(text).resolve().as_uri()
