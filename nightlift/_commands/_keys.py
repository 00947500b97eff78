"""`keys`: make, list and revoke the API keys of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KeysFile = Annotated[
    Path,
    typer.Option("--file", "-f", envvar="NIGHTLIFT_KEYS_FILE", help="The service's keys file.", show_default=False),
]
Name = Annotated[str, typer.Argument(help="Name of the key in listings, metrics and logs.")]

keys = typer.Typer(
    no_args_is_help=True,
    help="""Create, list and revoke the API keys of a service, which picks up changes within a second.

    Example: `nightlift keys create phone --scope enhance --file keys.json`""",
)


@keys.command()
def create(
    name: Name,
    file: KeysFile,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="enhance, admin or metrics; may be repeated; if absent, enhance."),
    ] = None,
    requests_per_second: Annotated[float | None, typer.Option(help="Limit; if absent, the setting's.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests that may come at once; if absent, the setting's.")
    ] = None,
    megapixels_per_minute: Annotated[float | None, typer.Option(help="Limit; if absent, the setting's.")] = None,
) -> None:
    """Create a key and print it once; only its hash is stored.

    Example: `nightlift keys create phone --scope enhance --file keys.json`
    """
    from service.admission import Scope, add_key

    if unknown := set(scope or ()).difference(Scope):
        raise typer.BadParameter(f"{min(unknown)!r} is not one of {', '.join(Scope)}", param_hint="--scope")
    text = add_key(
        file,
        name,
        frozenset(map(Scope, scope or ["enhance"])),
        requests_per_second=requests_per_second,
        burst=burst,
        megapixels_per_minute=megapixels_per_minute,
    )
    typer.echo(text)
    typer.echo(f"This is the key {name!r}. It cannot be shown again.", err=True)


@keys.command("list")
def list_keys(file: KeysFile) -> None:
    """List the keys; their secrets are not shown.

    Example: `nightlift keys list --file keys.json`
    """
    from nightlift._listing import print_keys
    from service.admission import read_keys

    print_keys(read_keys(file))


@keys.command()
def revoke(name: Name, file: KeysFile) -> None:
    """Revoke a key.

    Example: `nightlift keys revoke phone --file keys.json`
    """
    from service.admission import revoke_key

    revoke_key(file, name)
    typer.echo(f"{name} is revoked", err=True)
