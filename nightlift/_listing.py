"""The table of `nightlift models`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from service.errors import NightliftError
from service.repository import ConfigError, ModelRepository


def print_models(root: Path, default: str) -> None:
    """Print every model below `root`: family, version, format, scope, working side, size and measured scores."""
    repository = ModelRepository(root)
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
