"""`moorage export`: an account as the declarative file that `moorage apply` takes."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client import call
from moorage.settings import Settings


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead.", dir_okay=False)
    ] = None,
    data: options.Data = None,
    port: options.Port = None,
) -> None:
    """Write your account's users, groups, roles, policies and repositories as a file for `moorage apply`.

    To apply it where it came from changes nothing. No secret is in it.

    Example:

      moorage export > identities.yaml
    """
    text = call(Settings.from_environment(data=data, port=port), "POST", "/_moorage/export", {})["text"]
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
