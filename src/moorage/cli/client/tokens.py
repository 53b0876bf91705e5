"""`moorage token`: pull tokens, which are passwords for `docker login` with a scope and an expiry."""

import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moorage.cli import options
from moorage.cli.audit.times import end
from moorage.cli.client.calls import acting, call, connect, pages
from moorage.policy.catalog.actions import PULL, PULL_CLIENT, PUSH, PUSH_CLIENT

app = typer.Typer(
    help="Passwords for `docker login`, limited to repositories, actions and a date. They can be revoked.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the token, unique in the account.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.command()
def create(
    name: Name,
    repository: Annotated[
        list[str],
        typer.Option("--repository", "-r", help="Repository or pattern (team/*) of the account. Can be repeated."),
    ],
    pull: Annotated[bool, typer.Option("--pull", help="Allow pulls.")] = False,
    push: Annotated[bool, typer.Option("--push", help="Allow pushes and pulls.")] = False,
    action: Annotated[
        list[str] | None, typer.Option(help="Allow this action, such as ecr:DescribeImages. Can be repeated.")
    ] = None,
    expires: Annotated[
        str, typer.Option(help="Expiry: 30m, 12h, 90d or 2y from now, or a date such as 2027-01-31.")
    ] = "90d",
    user: Annotated[str | None, typer.Option(help="User that the token acts as. Default: you.")] = None,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Create a token and print it once.

    Clients that use it act as you (or as --user), and may do no more than the token allows. It ends on its date, when
    you revoke it, or when its user is deleted.

    Examples:

      moorage token create ci --repository 'team/*' --pull --expires 90d

      docker login -u ci -p mrg_… registry.example.com
    """
    if not (pull or push or action):
        raise typer.BadParameter("a token needs at least one of --pull, --push and --action ecr:…")
    asked: dict[str, Any] = {"name": name, "repositories": repository, "pull": pull, "push": push}
    asked |= {"actions": action or [], "expires_at": end(expires, time.time())}
    answer = call(
        acting(connect(data=data, port=port, profile=profile)),
        "POST",
        "/_moorage/tokens/create",
        asked | ({} if user is None else {"user": user}),
    )
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    token, out = answer["token"], Console(stderr=True)
    out.print(f"[bold green]✓[/] token [bold]{escape(token['name'])}[/] of {escape(token['owner'])}", highlight=False)
    out.print(f"  {escape(', '.join(token['repositories']))} until {_moment(token['expiresAt'])}", highlight=False)
    out.print("  It is shown only once. Use it with any user name:", highlight=False)
    typer.echo(answer["password"])


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="List the tokens of this user only.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List expired and recently revoked tokens too.")] = False,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """List the tokens of the account: what each may do, until when, and when it was last used."""
    asked: dict[str, Any] = {"ended": every} | ({} if user is None else {"user": user})
    found = list(pages(connect(data=data, port=port, profile=profile), "/_moorage/tokens/list", asked))
    answer = {"tokens": [token for page in found for token in page["tokens"]], "now": found[0]["now"]}
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("NAME", "OWNER", "REPOSITORIES", "MAY", "ENDS", "LAST USED"):
        table.add_column(head, overflow="fold")
    for token in answer["tokens"]:
        cells = [token["name"], token["owner"].partition("::")[2], "\n".join(token["repositories"]), _may(token)]
        table.add_row(*map(escape, cells), _state(token, answer["now"]), _last_use(token))
    Console().print(table)


@app.command()
def revoke(
    name: Name,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Revoke a token: the server refuses it from the next request on."""
    client = acting(connect(data=data, port=port, profile=profile))
    token = call(client, "POST", "/_moorage/tokens/revoke", {"name": name})["token"]
    typer.echo(f"token {token['name']} is revoked")


def _may(token: dict[str, Any]) -> str:
    """Return what the token allows: `push` and `pull` if it allows all of it, and every other action by name."""
    others = actions = frozenset(token["actions"])
    words = []
    for word, needed, client in (("push", PUSH, PUSH_CLIENT), ("pull", PULL, PULL_CLIENT)):
        if actions.issuperset(needed):
            words.append(word)
            others -= frozenset(client)
    return ", ".join([*words, *sorted(each.removeprefix("ecr:") for each in others)])


def _state(token: dict[str, Any], now: float) -> str:
    if token["revokedAt"] is not None:
        return f"[red]revoked[/] {_moment(token['revokedAt'])}"
    if token["expiresAt"] <= now:
        return f"[red]over[/] {_moment(token['expiresAt'])}"
    return _moment(token["expiresAt"])


def _last_use(token: dict[str, Any]) -> str:
    return "never" if token["lastUsedAt"] is None else _moment(token["lastUsedAt"])


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
