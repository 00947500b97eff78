"""The service compared with other model servers (peers) that have the same network, codec, pictures and machine.

    arrange  tries each peer with several numbers of threads, processes and batches, and keeps the fastest
    equal    600x400 JPEGs: peers at full resolution, the service at full resolution and guided, in turns
    mixed    photos of 0.2 to 12 megapixels: peers at full resolution, and shrunk and enlarged; the service by default
    quality  PSNR of guided and of shrunk and enlarged pictures, relative to full resolution and to references

Each peer is installed into its own environment below `--environments`. Results are kept there as JSON, so that peers
can be measured one at a time with `--peers`; the tables contain every peer measured so far.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks._load import LoadReport, Target, closed_loop, requests_of, send_once
from benchmarks._photos import jpeg_of, mixed, pairs, pixels_of, psnr
from benchmarks._repositories import MODEL
from benchmarks._servers import ServerError, end_with_servers, nightlift
from benchmarks._statistics import bootstrap_median, percentile, ratios
from benchmarks._tables import machine, table, write_section
from benchmarks.peers._peers import PEERS, Arrangement, Peer, arrangements, is_picture
from benchmarks.serving import CONCURRENCY, jpeg
from service.settings import Settings, available_cores

SERVICE = "Nightlift"
AS_PEERS = "protect=0&gate=false"  # the plain result of the network, which the peers return
MIXED_AT_ONCE = 4  # concurrent requests with mixed sizes
SERVED_SECONDS = 6.0  # enough for the service and for shrunk pictures, which are faster than full resolution
Notes = dict[str, dict[str, Any]]


class Contest:
    """What all parts share: the environments of the peers, the results so far, and the options of this run."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.environments: Path = given.environments.resolve()
        self.turns: int = given.turns
        self.seconds: float = given.seconds
        self.photos: list[Path] = given.photos
        self.references: Path | None = given.references
        self.peers = [peer for peer in PEERS if not given.peers or peer.package in given.peers]
        self.model = Settings().model_repository / MODEL / "1" / "model.onnx"
        self._file = self.environments / "measured.json"
        self.notes: dict[str, Notes] = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self.environments.mkdir(parents=True, exist_ok=True)

    def note(self, part: str, name: str, measured: dict[str, Any]) -> None:
        """Store the results of one peer."""
        self.notes.setdefault(part, {})[name] = measured
        self._file.write_text(json.dumps(self.notes, indent=1))

    def arrangement(self, peer: Peer) -> Arrangement:
        """The best arrangement found by `arrange`; without one, a worker per core with one thread each."""
        found = self.notes.get("arrange", {}).get(peer.name)
        return Arrangement(**found["best"]) if found else Arrangement(available_cores(), 1)

    def facts(self) -> str:
        """A sentence about the machine and the version of every installed peer."""
        return machine({peer.name: peer.version(self.environments) for peer in PEERS if self.installed(peer)})

    def installed(self, peer: Peer) -> bool:
        """Whether the peer's environment exists."""
        return (self.environments / peer.package / "bin" / "python").is_file()


def arrange(contest: Contest) -> str:
    """Throughput of every arrangement of every peer with 600x400 JPEGs at concurrency 8."""
    file = jpeg(600, 400)
    for peer in contest.peers:
        seen: list[tuple[Arrangement, float]] = []
        for choice in arrangements(peer, available_cores()):
            with peer.serving(contest.environments, contest.model, choice) as port:
                one = checked(peer.target(port, [file]))
                closed_loop(one, CONCURRENCY, 1.5)
                seen.append((choice, closed_loop(one, CONCURRENCY, 4).throughput))
        best = max(seen, key=lambda pair: pair[1])[0]
        tried = {str(choice): rate for choice, rate in seen}
        contest.note("arrange", peer.name, {"best": asdict(best), "tried": tried})
    rows = [
        (
            name,
            str(Arrangement(**found["best"])),
            "; ".join(f"{how}: {rate:.1f}" for how, rate in found["tried"].items()),
        )
        for name, found in contest.notes.get("arrange", {}).items()
    ]
    return "\n\n".join((table(("peer", "best", "tried, pictures a second"), rows), contest.facts()))


def equal(contest: Contest) -> str:
    """Pictures of equal size at full resolution; the service also with guided rendering."""
    file = jpeg(600, 400)
    for peer in contest.peers:
        with ExitStack() as stack:
            port = stack.enter_context(nightlift())
            theirs = stack.enter_context(peer.serving(contest.environments, contest.model, contest.arrangement(peer)))
            targets = {
                "whole": requests_of([file], port, f"/enhance?detail=whole&{AS_PEERS}"),
                "guided": requests_of([file], port, f"/enhance?detail=guided&{AS_PEERS}"),
                "peer": peer.target(theirs, [file]),
            }
            for one in targets.values():
                closed_loop(checked(one), CONCURRENCY, 1.5)
            seen: dict[str, list[LoadReport]] = {name: [] for name in targets}
            for _ in range(contest.turns):
                for name, one in targets.items():
                    seen[name].append(closed_loop(one, CONCURRENCY, contest.seconds))
        measured = {
            name: {
                "rates": [report.throughput for report in reports],
                "tails": [percentile(report.latencies, 99) for report in reports],
                "p99": percentile([second for report in reports for second in report.latencies], 99),
            }
            for name, reports in seen.items()
        }
        contest.note("equal", peer.name, measured)
    rows = []
    for name, found in contest.notes.get("equal", {}).items():
        peer, whole, guided = found["peer"], found["whole"], found["guided"]
        ratio = ratios(whole["rates"], peer["rates"])
        tail = ratios(whole["tails"], peer["tails"])
        faster = ratios(guided["rates"], peer["rates"])
        rows.append(
            (
                name,
                f"{median(peer['rates']):.2f}",
                f"{median(whole['rates']):.2f}",
                f"{ratio:.3f}",
                ratio.at_least(1),
                f"{1000 * peer['p99']:.0f}",
                f"{1000 * whole['p99']:.0f}",
                f"{tail:.2f}",
                tail.at_most(1),
                f"{median(guided['rates']):.1f}",
                f"{faster:.2f}",
                faster.at_least(3),
            )
        )
    columns = (
        "peer",
        "peer whole, 1/s",
        "ours whole, 1/s",
        "ours / peer (95 %)",
        "at least 1",
        "peer p99, ms",
        "ours p99, ms",
        "ours / peer (95 %)",
        "at most 1",
        "ours guided, 1/s",
        "ours guided / peer whole (95 %)",
        "at least 3",
    )
    return "\n\n".join((table(columns, rows), contest.facts()))


def mixed_sizes(contest: Contest) -> str:
    """Photos of mixed sizes: how many each server completes in its time window."""
    files = mixed(contest.photos)
    pixels = [pixels_of(file).shape[0] * pixels_of(file).shape[1] / 1e6 for file in files]
    alone = Arrangement(1, available_cores())
    for peer in contest.peers:
        measured: dict[str, Any] = {"pixels": sum(pixels)}
        with nightlift() as port:
            served = requests_of(files, port, f"/enhance?{AS_PEERS}")
            closed_loop(served, MIXED_AT_ONCE, 3)
            ours = closed_loop(served, MIXED_AT_ONCE, SERVED_SECONDS)
        measured["ours"] = done_of(ours, pixels)
        for mode, seconds in (("whole", contest.seconds), ("shrunk", SERVED_SECONDS)):
            try:
                with peer.serving(contest.environments, contest.model, alone, mode) as port:
                    one = peer.target(port, files)
                    send_once(one, picture=int(np.argmin(pixels)))
                    measured[mode] = done_of(closed_loop(one, MIXED_AT_ONCE, seconds, time_limit=0.1), pixels)
            except (ServerError, OSError, RuntimeError) as error:
                measured[mode] = {"error": str(error)[:200]}
        contest.note("mixed", peer.name, measured)
    rows = []
    for name, found in contest.notes.get("mixed", {}).items():
        ours, whole, shrunk = found["ours"], found["whole"], found["shrunk"]
        if "error" in whole:
            rows.append((name, whole["error"], "", *said(ours), "", "", *said(shrunk)))
            continue
        ratio = ours["pixels_rate"] / whole["pixels_rate"] if whole["count"] else float("inf")
        rows.append(
            (name, *said(whole), *said(ours), f"{ratio:.1f}", "yes" if ratio >= 10 else "**no**", *said(shrunk))
        )
    columns = (
        "peer",
        "whole: photos",
        "MP/s",
        "ours: photos",
        "MP/s",
        "ours / whole, by MP/s",
        "at least 10",
        "shrunk: photos",
        "MP/s",
    )
    return "\n\n".join((table(columns, rows), contest.facts()))


def done_of(report: LoadReport, pixels: Sequence[float]) -> dict[str, float]:
    """Photos and megapixels per second completed within the time window; `pixels`: megapixels of each photo."""
    done = sum(pixels[answer.picture] for answer in report.answers)
    return {"count": len(report.answers), "seconds": report.seconds, "pixels_rate": done / report.seconds}


def said(done: dict[str, Any]) -> tuple[str, str]:
    """Two table cells: photos per number of seconds, and megapixels per second."""
    if "error" in done:
        return done["error"], ""
    return f"{done['count']} in {done['seconds']:.0f} s", f"{done['pixels_rate']:.2f}"


def quality(contest: Contest) -> str:
    """PSNR of guided and shrunk pictures relative to full resolution, and of all relative to references, if given."""
    peer = next(peer for peer in PEERS if contest.installed(peer))
    small = [file for file in mixed(contest.photos) if pixels_of(file).size <= 3 * 1.5e6]
    found = pairs(contest.references) if contest.references else []
    with ExitStack() as stack:
        port = stack.enter_context(nightlift())
        shrunk_port = stack.enter_context(
            peer.serving(contest.environments, contest.model, Arrangement(1, available_cores()), "shrunk")
        )
        rows = []
        for name, ask in {
            "whole": lambda file: served(port, file, "whole"),
            "guided, ours": lambda file: served(port, file, "guided"),
            "shrunk and enlarged": lambda file: pixels_of(send_once(peer.target(shrunk_port, [file]))),
        }.items():
            against = [psnr(ask(file), served(port, file, "whole")) for file in small]
            referenced = [psnr(ask(jpeg_of(dark)), bright) for dark, bright in found]
            apart = f"{bootstrap_median(against):.2f}" if name != "whole" else ""
            rows.append((name, apart, f"{mean(referenced):.2f}" if referenced else "not at hand"))
    columns = ("rendered", "PSNR against whole, dB: median (95 %)", "mean PSNR against the reference, dB")
    note = f"{len(small)} of the mixed photos, up to 1.5 megapixels; {len(found)} pairs with references."
    return "\n\n".join((table(columns, rows), f"{note} {contest.facts()}"))


def served(port: int, file: bytes, detail: str) -> Any:
    """The service's answer, decoded: uint8 [H, W, 3]."""
    return pixels_of(send_once(requests_of([file], port, f"/enhance?detail={detail}&{AS_PEERS}")))


def checked(target: Target) -> Target:
    """Check that a target answers with a picture; returns the target.

    Raises:
        LoadError, ValueError: if the answer is not a picture, or is black.
    """
    if not is_picture(send_once(target)):
        raise ValueError("the answer is black")
    return target


PARTS: dict[str, Callable[[Contest], str]] = {
    "arrange": arrange,
    "equal": equal,
    "mixed": mixed_sizes,
    "quality": quality,
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    words = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--environments", type=Path, required=True, help="folder for the peers' environments")
    words.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated; default: all parts")
    words.add_argument("--peers", choices=[peer.package for peer in PEERS], action="append", help="default: all")
    words.add_argument("--turns", type=int, default=7, help="measurements of each alternative")
    words.add_argument("--seconds", type=float, default=5.0, help="seconds per measurement at full resolution")
    words.add_argument(
        "--photos", type=Path, action="append", default=[], help="folder of photos; default: scikit-image's samples"
    )
    words.add_argument("--references", type=Path, help="folder with low and high, such as LOLv1/eval15")
    words.add_argument("--install", action="store_true", help="install the peers, and measure nothing")
    words.add_argument("--into", type=Path, help="also write the tables into this document, between its markers")
    return words


def main() -> None:
    """Install missing peers, measure the selected parts, and print or write their tables."""
    given = parser().parse_args()
    end_with_servers()
    contest = Contest(given)
    for peer in contest.peers:
        peer.install(contest.environments)
    for name in () if given.install else given.only or PARTS:
        text = PARTS[name](contest)
        print(text, flush=True)
        if given.into:
            write_section(given.into, f"peers {name}", text)


if __name__ == "__main__":
    main()
