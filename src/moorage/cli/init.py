"""`moorage init`: the first account and its administrator key."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from moorage import data_directory
from moorage.cli import banner, options
from moorage.cli.home import Home, read_key, write_key
from moorage.clock import Clock
from moorage.login.keys import Key
from moorage.names import AccountId, InvalidNameError, account_id
from moorage.names import region as parse_region
from moorage.sealing import sealer_of
from moorage.server import CannotServeError
from moorage.settings import Settings


def init(
    data: options.Data = None,
    account: Annotated[str, typer.Option(help="Id of the account, 12 digits.")] = "000000000000",
    region: options.Region = None,
    name: Annotated[str, typer.Option(help="What people call the account.")] = "main",
    database_url: options.DatabaseUrl = None,
) -> None:
    """Make an account and its administrator key: the account's root, who may do everything in it.

    The first account of a data directory is also the default one of host names that name none. Run it again with
    another --account to add one.
    """
    settings = Settings.from_environment(data=data, database_url=database_url)
    home = Home.read(settings.data)
    try:
        wanted = account_id(account)
        in_region = home.region if home is not None else parse_region(region or settings.default_region)
    except InvalidNameError as error:
        raise typer.BadParameter(str(error)) from error
    if read_key(settings.data, wanted) is not None:
        raise CannotServeError(
            f"account {wanted} is set up in {settings.data} already; its key is in credentials there"
        )
    data_directory.prepare(settings.data)
    key = asyncio.run(_make(settings, wanted, name))
    file = write_key(settings.data, wanted, key)
    if home is None:
        Home(wanted, in_region).write(settings.data)
    where = "" if data is None else f" --data {settings.data}"
    Console(
        highlight=False, soft_wrap=True
    ).print(f"""Account [bold]{wanted}[/] is ready in {settings.data}, region {in_region}.

  access key id      [bold]{key.id}[/]
  secret access key  [bold]{key.secret}[/]

This is shown once. It is also kept in {file} (mode 0600) for this machine's own commands.

  {banner.command()} serve{where}
  eval "$({banner.command()} env{where})"     [dim]# the AWS CLI acts as this account's administrator[/]""")


async def _make(settings: Settings, account: AccountId, name: str) -> Key:
    # Imported here: they take longer than every other command does altogether.
    from moorage.identity.identity import make_identity  # noqa: PLC0415
    from moorage.store.metadata.open import open_database  # noqa: PLC0415

    database = await open_database(settings)
    try:
        identity = make_identity(database, sealer_of(settings), Clock())
        await identity.accounts.ensure(account, name)
        key, secret = await identity.keys.create(account, None)
        return Key(key.id, secret)
    finally:
        await database.close()
