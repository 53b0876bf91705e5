"""`moorage why`: the trace of a decision, as a tree."""

from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client import call
from moorage.settings import Settings


def why(
    decision: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Decision id, as the denial told it. Default: your last.")
    ] = None,
    data: options.Data = None,
    port: options.Port = None,
) -> None:
    """Say why a request was allowed or denied: every statement, and the first element of it that did not match."""
    settings = Settings.from_environment(data=data, port=port)
    path = "/_moorage/explain" if decision is None else f"/_moorage/explain/{decision}"
    typer.echo(call(settings, "GET", path)["text"])
