"""What `nightlift models`, `nightlift keys list` and `nightlift doctor` print."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.admission import KeyFile
from service.doctor import Finding, Level
from service.errors import NightliftError
from service.repository import ConfigError, ModelRepository

MARKS = {Level.FINE: "[green]fine[/green]", Level.NOTE: "[yellow]note[/yellow]", Level.PROBLEM: "[red]problem[/red]"}


def print_models(root: Path, default: str) -> None:
    """Print every model below `root`: family, version, format, scope, working side, size and measured scores.

    Raises:
        FileNotFoundError: if there is none.
    """
    repository = ModelRepository(root)
    if not repository.names():
        raise FileNotFoundError(
            f"there is no model in {root}; NIGHTLIFT_MODEL_REPOSITORY or --model-repository names it"
        )
    table = Table("model", "family", "version", "format", "scope", "proxy px", "KiB", "eval15 PSNR / SSIM / GT-mean")
    for name in repository.names():
        try:
            versions = repository.servable(name)
        except (NightliftError, ConfigError) as error:
            table.add_row(name, "", "", "", "", "", "", f"[red]cannot be served: {error}[/red]")
            continue
        for model in versions:
            traits, scores = model.config.traits, model.config.scores
            table.add_row(
                f"{name} (default)" if name == default else name,
                traits.family,
                str(model.version),
                model.config.backend,
                str(traits.spatial_scope),
                str(traits.working_side),
                f"{model.path.stat().st_size / 1024:.0f}",
                " / ".join(str(scores.get(key, "–")) for key in ("psnr", "ssim", "psnr_gt_mean")),
            )
    Console().print(table)


def print_keys(file: KeyFile) -> None:
    """Print every key: name, id, scopes, limits of its own, and when it was made."""
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
    Console().print(table)


def print_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Print findings as they come, each with its advice, and give them back."""
    console = Console(highlight=False)
    seen = []
    for finding in findings:
        seen.append(finding)
        console.print(
            f"{MARKS[finding.level]}  [bold]{finding.subject}[/bold]: {escape(finding.text)}", soft_wrap=True
        )
        if finding.advice:
            console.print(f"      → {escape(finding.advice)}", soft_wrap=True)
    return seen
