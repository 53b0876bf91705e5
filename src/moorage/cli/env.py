"""`moorage env`: the variables that make the AWS CLI and SDKs speak to Moorage."""

import shlex
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.home import Home, read_key
from moorage.login.keys import Key
from moorage.settings import Settings


def env(
    port: options.Port = None,
    data: options.Data = None,
    account: Annotated[str | None, typer.Option(help="Act as this account (12 digits).")] = None,
    region: options.Region = None,
) -> None:
    """Print shell lines to set up the AWS CLI. Use it as: eval "$(moorage env)"

    In a directory that moorage init set up, the key it made is used; else a development key.
    """
    settings = Settings.from_environment(port=port, data=data)
    home = Home.read(settings.data)
    key = read_key(settings.data, account) if home is not None else None
    if key is None:
        key = Key(account or "test", "test")
    in_region = region or (home.region if home is not None else settings.default_region)
    url = settings.public_url or f"{settings.scheme}://{settings.host}:{settings.port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": in_region,
        "AWS_DEFAULT_REGION": in_region,
    }.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")
