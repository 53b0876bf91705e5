"""`moorage organization`: group accounts, under guardrails that no policy of an account can override."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from moorage.cli import options
from moorage.cli.client.calls import Client, ServerSaidNoError, acting, call, connect
from moorage.cli.on_host import OnHost, acting_on_host, record, settings_on_host
from moorage.settings import Settings

app = typer.Typer(
    help="Group accounts: organization ids for conditions, service control policies and resource control policies.",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Argument(help="The document, as JSON.", exists=True, dir_okay=False)]


@app.command()
def new(account: Annotated[str, typer.Argument(help="Id of the management account, 12 digits.")]) -> None:
    """Print a document to start from: an organization of one account."""
    suffix = secrets.token_hex(2)
    document = {
        "id": f"o-{secrets.token_hex(5)}",
        "managementAccount": account,
        "serviceControlPolicies": {},
        "resourceControlPolicies": {},
        "root": {
            "id": f"r-{suffix}",
            "serviceControlPolicies": ["FullAWSAccess"],
            "accounts": [{"id": account}],
            "units": [{"id": f"ou-{suffix}-{secrets.token_hex(4)}", "name": "Members", "accounts": []}],
        },
    }
    text = json.dumps(document, indent=2)
    _checked(text)
    typer.echo(text)


@app.command()
def check(file: File) -> None:
    """Check whether a document is valid, without a server."""
    _checked(file.read_text())
    typer.echo(f"{file}: valid")


@app.command()
def show(data: options.Data = None, port: options.ServerPort = None, profile: options.AwsProfile = None) -> None:
    """Print the current document."""
    typer.echo(_ask(connect(data=data, port=port, profile=profile), "show", {})["document"])


@app.command()
def history(data: options.Data = None, port: options.ServerPort = None, profile: options.AwsProfile = None) -> None:
    """Print all documents, newest first, one JSON object a line."""
    server = connect(data=data, port=port, profile=profile)
    after: str | None = ""
    while after is not None:
        page = _ask(server, "history", {"after": after})
        for each in page["documents"]:
            typer.echo(json.dumps(each))
        after = page["next"]


@app.command("set")
def set_(
    file: File,
    on_host: OnHost = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Set the document. It applies from the next request on."""
    text = file.read_text()
    _checked(text)
    if on_host:
        asyncio.run(_write(settings_on_host(data, database_url), text))
        typer.echo("the organization applies from the next request on")
    else:
        client = acting(connect(data=data, port=port, profile=profile))
        typer.echo(_ask(client, "put", {"document": text})["text"])


@app.command()
def remove(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    on_host: OnHost = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Remove the organization. Its guardrails no longer apply."""
    client = None if on_host else acting(connect(data=data, port=port, profile=profile))
    if not yes:
        typer.confirm("Remove the organization, and with it every guardrail?", abort=True)
    if client is None:
        asyncio.run(_write(settings_on_host(data, database_url), None))
        typer.echo("the organization is removed")
    else:
        typer.echo(_ask(client, "delete", {})["text"])


def _checked(text: str) -> None:
    from moorage.access.organization import MalformedOrganization, checked  # noqa: PLC0415 - slow; few commands need it

    try:
        checked(text)
    except MalformedOrganization as error:
        raise ServerSaidNoError(str(error)) from error


async def _write(settings: Settings, document: str | None) -> None:
    acting_on_host(settings)
    from moorage.access.organization import keep, managers  # noqa: PLC0415 - slow; few commands need it
    from moorage.clock import Clock  # noqa: PLC0415
    from moorage.identity.accounts.organizations import Organizations  # noqa: PLC0415
    from moorage.store.metadata.audit.audit import AuditStore  # noqa: PLC0415
    from moorage.store.metadata.database.open import open_database  # noqa: PLC0415
    from moorage.store.metadata.epoch import Epochs  # noqa: PLC0415

    database = await open_database(settings)
    try:
        organizations = Organizations(Epochs(database), Clock())
        concerned = await managers(organizations, document)
        if document is None:
            await organizations.remove(by="operator")
        else:
            await keep(organizations, document, by="operator")
    finally:
        await database.close()
    audit = await AuditStore.open(settings)
    try:
        if document is None:
            await record(audit, settings, "DeleteOrganization", concerned, {})
        else:
            await record(audit, settings, "PutOrganization", concerned, {"document": document})
    finally:
        await audit.close()


def _ask(client: Client, what: str, members: dict[str, Any]) -> Any:
    return call(client, "POST", f"/_moorage/organization/{what}", members)
