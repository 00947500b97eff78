"""What `nightlift models`, `nightlift keys list` and `nightlift doctor` print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.admission import KeyFile
from service.doctor import Finding, Level
from service.errors import NightliftError
from service.repository import ConfigError, ModelRepository

MARKS = {Level.OK: "[green]ok[/green]   ", Level.NOTE: "[yellow]note[/yellow] ", Level.ERROR: "[red]error[/red]"}

SCORES = ("psnr", "ssim", "psnr_gt_mean")
"""Measured on LOLv1's eval15."""

_WIDEST = 10_000


def print_models(root: Path, default: str, *, as_json: bool = False) -> None:
    """Print every model below `root`: family, version, format, scope, working side, size and measured scores.

    Raises:
        FileNotFoundError: if there is none.
    """
    repository = ModelRepository(root)
    if not repository.names():
        raise FileNotFoundError(
            f"no models found in {root}; set NIGHTLIFT_MODEL_REPOSITORY, or use --model-repository"
        )
    rows = list(_models(repository, default))
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("model", "family", "version", "format", "scope", "proxy px", "KiB", "eval15 PSNR / SSIM / GT-mean")
    for row in rows:
        marks = ["default"] * row["default"] + ["takes no pictures"] * (not row.get("takes_pictures", True))
        name = f"{row['name']} ({', '.join(marks)})" if marks else row["name"]
        if "error" in row:
            table.add_row(name, "", "", "", "", "", "", f"[red]cannot be served: {escape(row['error'])}[/red]")
            continue
        size, scores = row["bytes"] / 1024, " / ".join(str(row["scores"].get(key, "–")) for key in SCORES)
        described = (row["family"], row["version"], row["format"], row["scope"], row["proxy_side"])
        table.add_row(name, *map(str, described), f"{size:.0f}", scores)
    _print_whole(table)


def _models(repository: ModelRepository, default: str) -> Iterator[dict[str, Any]]:
    for name in repository.names():
        try:
            versions = repository.servable(name)
        except (NightliftError, ConfigError) as error:
            yield {"name": name, "default": name == default, "error": str(error)}
            continue
        for model in versions:
            traits = model.config.traits
            yield {
                "name": name,
                "default": name == default,
                "family": traits.family,
                "takes_pictures": model.config.takes_pictures,
                "version": model.version,
                "format": model.config.backend,
                "scope": str(traits.spatial_scope),
                "proxy_side": traits.working_side,
                "bytes": model.path.stat().st_size,
                "scores": dict(model.config.scores),
                "licence": model.config.licence,
            }


def _print_whole(table: Table) -> None:
    """Print a table without truncating cells: they wrap on a narrow terminal; elsewhere the table grows with them."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, Console(width=_WIDEST).measure(table).maximum)
    for column in table.columns:
        column.overflow = "fold"
    console.print(table)


def print_keys(file: KeyFile) -> None:
    """Print every key: name, id, scopes, its own limits, and when it was made."""
    table = Table("name", "id", "scopes", "requests/s", "burst", "megapixels/min", "made (UTC)")
    for key in file.keys:
        limits = (key.requests_per_second, key.burst, key.megapixels_per_minute)
        table.add_row(
            key.name,
            key.id,
            ", ".join(sorted(key.scopes)),
            *("" if limit is None else f"{limit:g}" for limit in limits),
            f"{key.created.astimezone(UTC):%Y-%m-%d %H:%M}",
        )
    _print_whole(table)


def print_findings(findings: Iterable[Finding], *, as_json: bool = False) -> list[Finding]:
    """Print a verdict, then all findings, each with its advice; returns the findings."""
    with Console(stderr=True).status("checking packages, devices and models"):
        found = list(findings)
    if as_json:
        report = [
            {"level": str(one.level), "subject": one.subject, "text": one.text, "advice": one.advice} for one in found
        ]
        print(json.dumps({"verdict": verdict(found), "findings": report}, indent=2))
        return found
    console = Console(highlight=False)
    mark = "red" if any(finding.level is Level.ERROR for finding in found) else "green"
    console.print(f"[bold {mark}]{escape(verdict(found))}[/bold {mark}]", soft_wrap=True)
    console.print()
    for finding in found:
        console.print(
            f"{MARKS[finding.level]}  [bold]{finding.subject}[/bold]: {escape(finding.text)}", soft_wrap=True
        )
        if finding.advice:
            console.print(f"       → {escape(finding.advice)}", soft_wrap=True)
    return found


def verdict(findings: list[Finding]) -> str:
    """All findings in a sentence."""
    errors = [finding.subject for finding in findings if finding.level is Level.ERROR]
    notes = sum(finding.level is Level.NOTE for finding in findings)
    aside = f"; {notes} note{'s' * (notes != 1)}" if notes else ""
    if not errors:
        return f"Ready to serve: no errors{aside}."
    return f"{len(errors)} error{'s' * (len(errors) != 1)} ({', '.join(dict.fromkeys(errors))}){aside}."
