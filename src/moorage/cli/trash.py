"""`moorage restore` and `moorage purge`: what was deleted comes back, or is destroyed at once."""

from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client.calls import Client, acting, call, connect

Repository = Annotated[str, typer.Argument(help="Name of the repository.")]
Tag = Annotated[str | None, typer.Option(help="Only this tag.")]
Digest = Annotated[str | None, typer.Option(help="Only this image.")]
Account = Annotated[str | None, typer.Option(help="Account of the registry. Default: your own.")]


def restore(
    repository: Repository,
    tag: Tag = None,
    digest: Digest = None,
    as_name: Annotated[str | None, typer.Option("--as", help="Bring the repository back under another name.")] = None,
    account: Account = None,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Bring a deleted repository, image (--digest) or tag (--tag) back."""
    members = {"repository": repository, "tag": tag, "digest": digest, "account": account, "as": as_name}
    typer.echo(_ask(acting(connect(data=data, port=port, profile=profile)), "restore", members))


def purge(
    repository: Repository,
    digest: Digest = None,
    account: Account = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Destroy a deleted repository or image (--digest) now, instead of at the end of the retention period."""
    client = acting(connect(data=data, port=port, profile=profile))
    what = f"image {digest} of {repository}" if digest else f"repository {repository}"
    if not yes:
        typer.confirm(f"Destroy the deleted {what}? It cannot be brought back", abort=True)
    typer.echo(_ask(client, "purge", {"repository": repository, "digest": digest, "account": account}))


def _ask(client: Client, what: str, members: dict[str, str | None]) -> str:
    given = {name: value for name, value in members.items() if value is not None}
    return str(call(client, "POST", f"/_moorage/{what}", given)["text"])
