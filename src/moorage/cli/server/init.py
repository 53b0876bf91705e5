"""`moorage init`: the first account and its administrator key."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from moorage import data_directory
from moorage.cli import options
from moorage.cli.server import banner
from moorage.cli.server.initialized import CREDENTIALS, Home, forget_key, read_key, write_key
from moorage.clock import Clock
from moorage.errors import MoorageError
from moorage.login.keys import Key
from moorage.names import AccountId, InvalidNameError, account_id
from moorage.names import region as parse_region
from moorage.server import CannotServeError
from moorage.settings import Settings


def init(
    data: options.Data = None,
    account: Annotated[str, typer.Option(help="Id of the account, 12 digits.")] = "000000000000",
    region: options.Region = None,
    name: Annotated[str, typer.Option(help="Name of the account, for people.")] = "main",
    database_url: options.DatabaseUrl = None,
) -> None:
    """Create an account and its administrator key: the account's root, which may do everything in it.

    The first account of a data directory is also the default for host names that name no account. To add an account,
    run the command again with another --account.
    """
    asked = Settings.from_environment(data=data, database_url=database_url)
    home = Home.read(asked.data)
    try:
        wanted = account_id(account)
        in_region = home.region if home is not None else parse_region(region or asked.default_region)
    except InvalidNameError as error:
        raise typer.BadParameter(str(error)) from error
    settings = asked if home is None else home.over(asked)
    data_directory.prepare(settings.data)
    key, is_new = asyncio.run(_make(settings, wanted, name))
    if home is not None and not is_new:
        raise CannotServeError(
            f"account {wanted} is already set up in {settings.data}; its key is in the file credentials there"
        )
    if home is None:
        Home(wanted, in_region, settings.database_url).write(settings.data)
    file = settings.data / CREDENTIALS
    where = "" if data is None else f" --data {settings.data}"
    whose = "" if home is None or home.account == wanted else f" --account {wanted}"
    Console(
        highlight=False, soft_wrap=True
    ).print(f"""Account [bold]{wanted}[/] is ready in {settings.data}, region {in_region}.

  access key id      [bold]{key.id}[/]
  secret access key  [bold]{key.secret}[/]

This is shown once. It is also kept in {file} (mode 0600) for this machine's own commands.

  {banner.command()} serve{where}
  eval "$({banner.command()} env{where}{whose})"     [dim]# the AWS CLI acts as this account's administrator[/]""")


async def _make(settings: Settings, account: AccountId, name: str) -> tuple[Key, bool]:
    """Return the first key of the account, and whether it is new.

    The key is written to the credentials file before it is in the database. So the secret is not lost if the process is
    killed, and the next run continues from there.
    """
    # Imported here: importing them takes longer than any other command runs.
    from moorage.identity.accounts.deployment import claim, open_sealer  # noqa: PLC0415
    from moorage.identity.identity import make_identity  # noqa: PLC0415
    from moorage.identity.principals.unique_ids import ACCESS_KEY, new_key_id, new_secret  # noqa: PLC0415
    from moorage.store.metadata.database.open import open_database  # noqa: PLC0415

    database = await open_database(settings)
    try:
        identity = make_identity(database, await open_sealer(settings, database), Clock())
        key = read_key(settings.data, account)
        if key is None:
            key = Key(new_key_id(ACCESS_KEY), new_secret())
            write_key(settings.data, account, key)
        try:
            is_new = await identity.keys.ensure_root(account, name, key.id, key.secret, by="operator")
        except MoorageError as error:
            forget_key(settings.data, account, key)
            raise CannotServeError(
                f"the root of account {account} has two keys already, and neither is in {settings.data / CREDENTIALS}. "
                "With one of them, delete the other: aws iam delete-access-key --access-key-id ID"
            ) from error
        await claim(settings, database)
        return key, is_new
    finally:
        await database.close()
