"""`moorage restore` and `moorage purge`: restore what was deleted, or destroy it at once."""

from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client.calls import Client, acting, call, connect

Repository = Annotated[str, typer.Argument(help="Name of the repository.")]
Tag = Annotated[str | None, typer.Option(help="Restore only this tag.")]
Digest = Annotated[str | None, typer.Option(help="Digest of a single image.")]
Account = Annotated[str | None, typer.Option(help="Account of the registry. Default: your own.")]


def restore(
    repository: Repository,
    tag: Tag = None,
    digest: Digest = None,
    as_name: Annotated[str | None, typer.Option("--as", help="Restore the repository under another name.")] = None,
    account: Account = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Restore a deleted repository, image (--digest) or tag (--tag)."""
    members = {"repository": repository, "tag": tag, "digest": digest, "account": account, "as": as_name}
    typer.echo(_ask(acting(connect(data=data, port=port, profile=profile)), "restore", members))


def purge(
    repository: Repository,
    digest: Digest = None,
    account: Account = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Destroy a deleted repository or image (--digest) now, before the end of the retention period."""
    client = acting(connect(data=data, port=port, profile=profile))
    what = f"image {digest} of {repository}" if digest else f"repository {repository}"
    if not yes:
        typer.confirm(f"Destroy the deleted {what}? It cannot be brought back", abort=True)
    typer.echo(_ask(client, "purge", {"repository": repository, "digest": digest, "account": account}))


def _ask(client: Client, what: str, members: dict[str, str | None]) -> str:
    given = {name: value for name, value in members.items() if value is not None}
    return str(call(client, "POST", f"/_moorage/{what}", given)["text"])
