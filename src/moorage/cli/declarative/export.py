"""`moorage export`: write an account as the declarative file that `moorage apply` reads."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client.calls import connect, pages
from moorage.cli.declarative import on_host as apply_on_host


def export(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file instead of standard output.", dir_okay=False),
    ] = None,
    on_host: Annotated[
        bool, typer.Option("--on-host", help="Read the database directly, as the operator of this machine.")
    ] = False,
    account: Annotated[
        list[str] | None,
        typer.Option(help="With --on-host: only this account, without the organization. Can be repeated."),
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Write your account's users, groups, roles, policies and repositories as a file for `moorage apply`.

    The organization is included if you may see it. --on-host exports all accounts. Applying the file to the registry
    that it comes from changes nothing. It contains no secrets.

    Examples:

      moorage export > identities.yaml

      moorage export --on-host > everything.yaml
    """
    if account and not on_host:
        raise typer.BadParameter("a server exports your own account only; add --on-host", param_hint="--account")
    if on_host:
        text = apply_on_host.export(data, database_url, account or [])
    else:
        found = list(pages(connect(data=data, port=port, profile=profile), "/_moorage/export", {}))
        text = "".join(page["text"] for page in found)
        for each in found[0]["leftOut"]:
            typer.echo(f"left out, as you may not see it: {each}", err=True)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
