"""The service over HTTP compared with a plain loop in one process: `python -m benchmarks.serving`.

    whole     throughput with 600x400 JPEGs, rendered at full resolution, compared with the best plain loop
    guided    the same with 12 megapixels, rendered through a small copy
    alone     latency with one request at a time
    open      latency with Poisson arrivals at half of saturation, compared with an M/D/c queue
    batching  throughput and tail latency by concurrency, with batching on and off, as a table and a chart
    threads   threads within an inference pass compared with concurrent passes

Alternatives take turns, and ratios are those of the same turn. Each part takes two to four minutes on an otherwise
idle machine; `--only` selects parts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import simplejpeg

from benchmarks._codec_floor import night_scene
from benchmarks._load import LoadReport, Target, closed_loop, one_at_a_time, open_loop, requests_of
from benchmarks._plain import Layout, PlainLoop
from benchmarks._plot import plot
from benchmarks._queueing import simulate
from benchmarks._repositories import MODEL, variant
from benchmarks._servers import end_with_servers, nightlift
from benchmarks._statistics import percentile, ratios
from benchmarks._tables import ROOT, machine, table, write_section
from service.rendering import Detail
from service.settings import Settings, available_cores

CONCURRENCY = 8
BARS = {"whole": 0.97, "guided": 0.90}
SIZES = {"whole": (600, 400), "guided": (4000, 3000)}
LONE_BAR = 1.05
TAIL_BAR = 1.3
LEVELS = (1, 2, 4, 8, 16)
PLACEMENTS = {"in process": "none", "child process": "process"}
PICTURE = ROOT / "docs" / "images" / "batching.svg"


def against_plain(detail: str, turns: int, seconds: float) -> str:
    """Throughput at concurrency 8, with the engine in both placements, compared with the plain loop."""
    file = jpeg(*SIZES[detail])
    plain = PlainLoop(Settings().model_repository, MODEL, file, Detail(detail))
    best, tried = plain.best()
    with both_placements(file, detail) as targets:
        loop: list[float] = []
        served: dict[str, list[LoadReport]] = {name: [] for name in targets}
        for _ in range(turns):
            loop.append(plain.throughput(best, seconds))
            for name, one in targets.items():
                served[name].append(closed_loop(one, CONCURRENCY, seconds))
    rows = []
    for name in targets:
        rates = [report.throughput for report in served[name]]
        ratio = ratios(rates, loop)
        tail = percentile([second for report in served[name] for second in report.latencies], 99)
        rows.append(
            (
                name,
                f"{median(loop):.2f}",
                f"{median(rates):.2f}",
                f"{ratio:.3f}",
                ratio.at_least(BARS[detail]),
                f"{1000 * tail:.0f}",
                f"{100 * max(report.client_share for report in served[name]):.1f} %",
            )
        )
    columns = (
        "engine",
        "plain loop, 1/s",
        "HTTP, 1/s",
        "HTTP / plain (95 %)",
        f"{100 * BARS[detail]:.0f} % reached",
        "p99, ms",
        "client, of a core",
    )
    layouts = ", ".join(f"{layout}: {rate:.2f}" for layout, rate in tried)
    width, height = SIZES[detail]
    note = (
        f"{width}x{height} JPEG of {len(file) / 1000:.0f} kB, `{MODEL}`, detail={detail}, {CONCURRENCY} requests at "
        f"once; {turns} turns of {seconds:g} s. Plain loops tried, pictures a second: {layouts}. "
    )
    return "\n\n".join((table(columns, rows), note + machine()))


def alone(turns: int, _: float) -> str:
    """Latency with one request at a time, compared with the fastest plain loop."""
    rows = []
    for detail, size in SIZES.items():
        file = jpeg(*size)
        plain = PlainLoop(Settings().model_repository, MODEL, file, Detail(detail))
        # No layout with spinning: its idle threads would take CPU time from the service in the next turn.
        layouts = [Layout(1, available_cores()), Layout(1, 1)]
        quickest = min(layouts, key=lambda layout: median(plain.lone(layout) for _ in range(9)))
        with both_placements(file, detail) as targets, ExitStack() as stack:
            sends = {name: stack.enter_context(one_at_a_time(one)) for name, one in targets.items()}
            mine: list[float] = []
            waited: dict[str, list[float]] = {name: [] for name in targets}
            for _turn in range(4 * turns):
                mine.append(plain.lone(quickest))
                for name, send in sends.items():
                    waited[name].append(send())
        for name in targets:
            ratio = ratios(waited[name], mine)
            rows.append(
                (
                    f"{size[0]}x{size[1]} {detail}",
                    name,
                    f"{1000 * median(mine):.1f}",
                    f"{1000 * median(waited[name]):.1f}",
                    f"{ratio:.3f}",
                    ratio.at_most(LONE_BAR),
                )
            )
    columns = ("picture", "engine", "in a plain loop, ms", "HTTP, ms", "HTTP / plain (95 %)", "within 5 %")
    return "\n\n".join((table(columns, rows), f"{4 * turns} turns. {machine()}"))


@contextmanager
def both_placements(file: bytes, detail: str) -> Iterator[dict[str, Target]]:
    """Targets of two services, warmed up: with the engine in process and in a child process."""
    with ExitStack() as stack:
        targets = {
            name: target(stack.enter_context(nightlift(engine_isolation=isolation)), file, detail)
            for name, isolation in PLACEMENTS.items()
        }
        for one in targets.values():
            closed_loop(one, CONCURRENCY, 2)
        yield targets


def open_arrivals(turns: int, seconds: float) -> str:
    """Tail latency at half of saturation, compared with queues of the same capacity and constant service time."""
    file = jpeg(*SIZES["whole"])
    rows = []
    length = 8 * seconds
    for name, isolation in PLACEMENTS.items():
        with nightlift(engine_isolation=isolation) as port:
            one = target(port, file, "whole")
            closed_loop(one, CONCURRENCY, 2)
            full = median(closed_loop(one, CONCURRENCY, seconds).throughput for _ in range(3))
            reports = [open_loop(one, full / 2, length, seed=turn) for turn in range(max(1, turns // 3))]
        latencies = [second for report in reports for second in report.latencies]
        middle, tail = percentile(latencies, 50), percentile(latencies, 99)
        for servers in (1, available_cores()):
            queue = simulate(0.5, servers)
            expected = percentile(queue, 99) / percentile(queue, 50)
            service = servers / full
            rows.append(
                (
                    name,
                    f"M/D/{servers}",
                    f"{full:.2f}",
                    str(len(latencies)),
                    f"{1000 * middle:.0f}",
                    f"{1000 * percentile(queue, 50) * service:.0f}",
                    f"{1000 * tail:.0f}",
                    f"{1000 * percentile(queue, 99) * service:.0f}",
                    f"{tail / middle:.2f}",
                    f"{expected:.2f}",
                    f"{tail / middle / expected:.2f}",
                    "yes" if tail / middle / expected <= TAIL_BAR else "**no**",
                )
            )
    columns = (
        "engine",
        "ideal queue",
        "saturation, 1/s",
        "requests",
        "p50, ms",
        "ideal p50, ms",
        "p99, ms",
        "ideal p99, ms",
        "p99/p50",
        "ideal p99/p50",
        "ratio",
        "at most 1.3",
    )
    note = (
        f"600x400 JPEGs whole, Poisson arrivals at half of what concurrency {CONCURRENCY} gives. M/D/1 takes the "
        "whole machine as one server, M/D/c each core as one; their service time is the measured capacity's. "
    )
    return "\n\n".join((table(columns, rows), note + machine()))


def batching(turns: int, seconds: float) -> str:
    """Batching on and off, with guided rendering, where inference passes are smallest."""
    file = jpeg(*SIZES["whole"])
    choices: dict[str, dict[str, float]] = {"off (default)": {}, "on, up to 8": {"batch": 8, "delay": 0.005}}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = {}
        for number, (name, changes) in enumerate(choices.items()):
            root = variant(Settings().model_repository, Path(folder) / str(number), **changes)  # type: ignore[arg-type]
            port = stack.enter_context(nightlift(model_repository=root))
            targets[name] = target(port, file, "guided")
            closed_loop(targets[name], CONCURRENCY, 2)
        seen: dict[tuple[str, int], list[LoadReport]] = {(name, level): [] for name in targets for level in LEVELS}
        for _ in range(max(1, turns // 2)):
            for level in LEVELS:
                for name, one in targets.items():
                    seen[name, level].append(closed_loop(one, level, seconds * 0.6))
    rates = {key: [report.throughput for report in reports] for key, reports in seen.items()}
    tails = {
        key: percentile([s for report in reports for s in report.latencies], 99) for key, reports in seen.items()
    }
    names = list(choices)
    rows = [
        (
            str(level),
            *(f"{median(rates[name, level]):.1f}" for name in names),
            f"{ratios(rates[names[1], level], rates[names[0], level]):.2f}",
            *(f"{1000 * tails[name, level]:.0f}" for name in names),
        )
        for level in LEVELS
    ]
    PICTURE.write_text(
        plot(
            {
                "pictures a second": {n: [(level, median(rates[n, level])) for level in LEVELS] for n in names},
                "p99, ms": {n: [(level, 1000 * tails[n, level]) for level in LEVELS] for n in names},
            },
            "requests at once",
        ),
        encoding="utf-8",
    )
    columns = (
        "at once",
        *(f"batches {name}, 1/s" for name in names),
        "on / off (95 %)",
        *(f"p99 {name}, ms" for name in names),
    )
    note = (
        "600x400 JPEGs, detail=guided (a pass of 256x168); batches wait up to 5 ms while another picture is being "
        f"decoded. {machine()}"
    )
    return "\n\n".join((table(columns, rows), note))


def threads(turns: int, seconds: float) -> str:
    """Threads within an inference pass compared with concurrent passes, through the whole service."""
    cores = available_cores()
    choices: dict[str, dict[str, int]] = {
        "as the load asks (default)": {},
        f"1 pass of {cores} threads": {"threads": cores},
        f"{cores} passes of 1 thread": {"instances": cores, "threads": 1},
        f"{cores} passes of {cores} threads": {"instances": cores, "threads": cores},
    }
    file = jpeg(*SIZES["whole"])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = {}
        for number, (name, changes) in enumerate(choices.items()):
            root = variant(Settings().model_repository, Path(folder) / str(number), **changes)
            targets[name] = target(stack.enter_context(nightlift(model_repository=root)), file, "whole")
            closed_loop(targets[name], CONCURRENCY, 2)
        reports: dict[str, list[LoadReport]] = {name: [] for name in targets}
        lone: dict[str, list[float]] = {name: [] for name in targets}
        for _ in range(turns):
            for name, one in targets.items():
                reports[name].append(closed_loop(one, CONCURRENCY, seconds))
                with one_at_a_time(one) as send:
                    lone[name].append(median(send() for _ in range(5)))
    first = next(iter(choices))
    rates = {name: [report.throughput for report in reports[name]] for name in choices}
    rows = [
        (
            name,
            f"{median(rates[name]):.2f}",
            f"{ratios(rates[name], rates[first]):.3f}",
            f"{1000 * percentile([s for report in reports[name] for s in report.latencies], 99):.0f}",
            f"{1000 * median(lone[name]):.1f}",
            f"{ratios(lone[name], lone[first]):.3f}",
        )
        for name in choices
    ]
    columns = ("passes", "1/s at 8", "of the default (95 %)", "p99 at 8, ms", "alone, ms", "of the default (95 %)")
    return "\n\n".join((table(columns, rows), f"600x400 JPEGs, detail=whole. {machine()}"))


def jpeg(width: int, height: int) -> bytes:
    """The night scene as a JPEG of quality 90; sides in pixels."""
    return bytes(simplejpeg.encode_jpeg(night_scene(width, height), quality=90, colorsubsampling="420"))


def target(port: int, file: bytes, detail: str) -> Target:
    """A target that sends one picture to `POST /enhance`."""
    return requests_of([file], port, f"/enhance?detail={detail}")


PARTS: dict[str, Callable[[int, float], str]] = {
    "whole": partial(against_plain, "whole"),
    "guided": partial(against_plain, "guided"),
    "alone": alone,
    "open": open_arrivals,
    "batching": batching,
    "threads": threads,
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    words = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated; default: all parts")
    words.add_argument("--turns", type=int, default=7, help="measurements of each alternative")
    words.add_argument("--seconds", type=float, default=5.0, help="seconds per measurement")
    words.add_argument("--into", type=Path, help="also write the tables into this document, between its markers")
    return words


def main() -> None:
    """Measure the selected parts, and print or write their tables."""
    given = parser().parse_args()
    end_with_servers()
    for name in given.only or PARTS:
        text = PARTS[name](given.turns, given.seconds)
        print(text, flush=True)
        if given.into:
            write_section(given.into, f"serving {name}", text)


if __name__ == "__main__":
    main()
