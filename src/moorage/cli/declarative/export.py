"""`moorage export`: an account as the declarative file that `moorage apply` takes."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client.calls import connect, pages
from moorage.cli.declarative import on_host as apply_on_host


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead.", dir_okay=False)
    ] = None,
    on_host: Annotated[
        bool, typer.Option("--on-host", help="Read the database itself, as whoever runs this machine.")
    ] = False,
    account: Annotated[
        list[str] | None,
        typer.Option(help="With --on-host: only this account, without the organization. May be given again."),
    ] = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Write your account's users, groups, roles, policies and repositories as a file for `moorage apply`.

    The organization is in it if you may see it. On the host it is all accounts. To apply it where it came from changes
    nothing. No secret is in it.

    Examples:

      moorage export > identities.yaml

      moorage export --on-host > everything.yaml
    """
    if account and not on_host:
        raise typer.BadParameter("over the wire it is your own account; say --on-host", param_hint="--account")
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
