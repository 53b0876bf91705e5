"""`moorage env`: environment variables that point the AWS CLI and SDKs at Moorage."""

import shlex
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client import local_server
from moorage.login.keys import OPEN, account_key, local_key, open_key
from moorage.names import InvalidNameError, account_id
from moorage.settings import Settings


def env(
    port: options.ServerPort = None,
    data: options.Data = None,
    account: Annotated[str | None, typer.Option(help="Act as this account (12 digits).")] = None,
    region: options.Region = None,
) -> None:
    """Print shell commands that set up the AWS CLI. Use it as: eval "$(moorage env)"

    In a directory that moorage init set up, the CLI uses its key; elsewhere, a development key.
    """
    settings = Settings.from_environment(port=port, data=data, default_region=region)
    if account is None:
        found = local_key(settings.data, None) or open_key(OPEN)
    else:
        try:
            found = account_key(settings.data, account_id(account))
        except InvalidNameError as error:
            raise typer.BadParameter(str(error), param_hint="--account") from error
    in_region = region or local_server.home_region(settings)
    server = local_server.served(settings, port)
    variables = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": found.key.id,
        "AWS_SECRET_ACCESS_KEY": found.key.secret,
        "AWS_REGION": in_region,
        "AWS_DEFAULT_REGION": in_region,
    } | ({} if server.ca is None else {"AWS_CA_BUNDLE": server.ca})
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")
