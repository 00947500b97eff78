"""The baseline for the service: the same pictures through the same network, in a plain loop in one process.

It uses the service's codec and rendering functions, but no queue, HTTP or event loop. Each worker thread finishes
one picture before it starts the next.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import onnxruntime as ort

from benchmarks._load import steady_rate
from service.pictures import PictureFormat, decode, encode
from service.rendering import Detail, RenderOptions, finish, plan, prepare
from service.repository import ModelRepository
from service.settings import available_cores

TRIAL_SECONDS = 2.0
TRIAL_TURNS = 3


@dataclass(frozen=True)
class Layout:
    """How a plain loop uses the cores: number of workers, and of threads for each one's network."""

    workers: int
    threads: int
    spinning: bool = False

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads} threads{', spinning' if self.spinning else ''}"


class PlainLoop:
    """Decode, run the network and encode, for one picture.

    Args:
        repository: the model repository.
        model: name of an ONNX model in it.
        file: a JPEG.
        detail: `whole` or `guided`, with the service's rendering and default options.
    """

    def __init__(self, repository: Path, model: str, file: bytes, detail: Detail) -> None:
        models = ModelRepository(repository)
        self._source = models.servable(model)[-1]
        of_maps = self._source.config.traits.map_model
        self._network = (
            models.servable(of_maps)[-1].path if of_maps and detail is Detail.GUIDED else self._source.path
        )
        self._file = file
        self._options = RenderOptions(detail=detail)
        self._sessions: dict[tuple[int, bool], ort.InferenceSession] = {}

    def layouts(self) -> list[Layout]:
        """The layouts worth trying on this machine."""
        cores = available_cores()
        shared = [Layout(workers, 1) for workers in (cores, cores + 1, 2 * cores)]
        wide = [Layout(1, cores), Layout(1, cores, spinning=True), Layout(2, cores)]
        return list(dict.fromkeys([*shared, *wide]))

    def best(self) -> tuple[Layout, list[tuple[Layout, float]]]:
        """The layout with the highest median throughput, and the throughput of each in pictures per second."""
        layouts = self.layouts()
        seen: dict[Layout, list[float]] = {layout: [] for layout in layouts}
        for layout in layouts:
            self.throughput(layout, 0.5)
        for _ in range(TRIAL_TURNS):
            for layout in layouts:
                seen[layout].append(self.throughput(layout, TRIAL_SECONDS))
        measured = [(layout, median(values)) for layout, values in seen.items()]
        return max(measured, key=lambda pair: pair[1])[0], measured

    def throughput(self, layout: Layout, seconds: float) -> float:
        """Pictures per second, see `steady_rate`."""
        session = self._session(layout)
        done: list[float] = []
        end = time.perf_counter() + seconds

        def work() -> None:
            while time.perf_counter() < end:
                self._one(session)
                done.append(time.perf_counter())

        workers = [threading.Thread(target=work) for _ in range(layout.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return steady_rate(sorted(moment for moment in done if moment <= end), layout.workers, seconds)

    def lone(self, layout: Layout) -> float:
        """Seconds for one picture when nothing else runs."""
        session = self._session(layout)
        started = time.perf_counter()
        self._one(session)
        return time.perf_counter() - started

    def _one(self, session: ort.InferenceSession) -> bytes:
        picture = decode(self._file)
        render_plan = plan(picture.width, picture.height, 8, self._source.config.traits, self._options)
        prepared = prepare(picture, render_plan)
        outputs = [session.run([render_plan.output], dict(inputs))[0][0] for inputs in prepared.inputs()]
        rendered = finish(prepared, outputs, self._options)
        return encode(rendered.picture, format=PictureFormat.JPEG, quality=90)

    def _session(self, layout: Layout) -> ort.InferenceSession:
        key = (layout.threads, layout.spinning)
        if key not in self._sessions:
            options = ort.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = layout.threads, 1
            options.enable_mem_pattern = False
            options.add_session_config_entry("session.set_denormal_as_zero", "1")
            options.add_session_config_entry("session.intra_op.allow_spinning", "1" if layout.spinning else "0")
            path = str(self._network)
            self._sessions[key] = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return self._sessions[key]
