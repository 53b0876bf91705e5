"""`moorage token`: pull tokens, passwords for `docker login` with a scope and an end."""

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
    help="Passwords for `docker login` that pull (or push) some repositories until a date, and can be revoked.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the token, unique in the account.")]
Json = Annotated[bool, typer.Option("--json", help="Everything, as JSON.")]


@app.command()
def create(
    name: Name,
    repository: Annotated[
        list[str],
        typer.Option("--repository", "-r", help="Repository or pattern (team/*) of the account. May be given again."),
    ],
    pull: Annotated[bool, typer.Option("--pull", help="It may pull.")] = False,
    push: Annotated[bool, typer.Option("--push", help="It may push, and pull.")] = False,
    action: Annotated[
        list[str] | None, typer.Option(help="It may do this, such as ecr:DescribeImages. May be given again.")
    ] = None,
    expires: Annotated[str, typer.Option(help="When it ends: in 30m, 12h, 90d, 2y, or on 2027-01-31.")] = "90d",
    user: Annotated[str | None, typer.Option(help="User whose rights it has at most. Default: you.")] = None,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Make a token and print it, once.

    Whoever shows it is you (or --user), but may do no more than the token says; it ends with its date, when you revoke
    it, and with its user.

    Examples:

      moorage token create ci --repository 'team/*' --pull --expires 90d

      docker login -u ci -p mrg_… registry.example.com
    """
    if not (pull or push or action):
        raise typer.BadParameter("say what it may do: --pull, --push or --action ecr:…")
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
    out.print("  It is shown this once; any user name goes with it:", highlight=False)
    typer.echo(answer["password"])


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over or were revoked lately.")] = False,
    as_json: Json = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """The account's tokens: what each may do, until when, and when it was used last."""
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
    """End a token now: every worker refuses it from the next request on."""
    client = acting(connect(data=data, port=port, profile=profile))
    token = call(client, "POST", "/_moorage/tokens/revoke", {"name": name})["token"]
    typer.echo(f"token {token['name']} is revoked")


def _may(token: dict[str, Any]) -> str:
    """Return what the token allows: `push` and `pull` where it allows all of it, and every other action by name."""
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
