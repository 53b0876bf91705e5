"""`moorage policy generate`: the least policy that allows what was really used."""

import enum
import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import connect, stream
from moorage.cli.policy.try_policy import followed


class Conditions(enum.StrEnum):
    """What statements are narrowed by besides."""

    SOURCE_IP = "source-ip"


def generate(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository that was used.")],
    last: Annotated[str, typer.Option("--last", "-l", help="How far back: 24h, 30d, 12w.")] = "30d",
    since: Annotated[str | None, typer.Option("--since", help="From then, in place of --last: 2026-11-25.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to then. Default: now.")] = None,
    identity: Annotated[
        str | None,
        typer.Option("--identity", help="Make the identity policy of this user or role (ARN), not the repository's."),
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Grant also what identity policies of the account grant already.")
    ] = False,
    conditions: Annotated[
        Conditions | None, typer.Option("--conditions", help="source-ip: only from the networks that were seen.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account of the repository. Default: your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The policy with all that is known of it, as JSON.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Write the least policy that allows what was used, from the record of decisions; nothing is changed.

    The policy goes to standard output, what is to be known about it to standard error. It is proved by a replay: what
    was allowed stays allowed. Deny statements of the policy in force are kept. Needs moorage:ReplayPolicy.

    Examples:

      moorage policy generate team/app --last 30d > policy.json

      moorage policy generate team/app --conditions source-ip

      moorage policy generate team/app --identity arn:aws:iam::111122223333:user/ci
    """
    client = connect(data=data, port=port, profile=profile)
    now = time.time()
    asked = {
        "repository": repository,
        "account": account,
        "since": times.moment(since, now) if since is not None else now - times.span(last),
        "until": None if until is None else times.moment(until, now),
        "identity": identity,
        "everybody": everybody,
        "by_network": conditions is Conditions.SOURCE_IP,
    }
    told = stream(client, "POST", "/_moorage/policy/generate", asked)
    made = followed(told, "reading the record")["generated"]
    if as_json:
        typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
    elif made["policy"] is not None:
        typer.echo(made["policy"])
    _say(Console(stderr=True, highlight=False, soft_wrap=True), made, identity)
    if made["policy"] is None:
        raise typer.Exit(1)


def _say(console: Console, made: dict[str, Any], identity: str | None) -> None:
    if made["policy"] is None:
        why = (
            "identity policies allow it all, no repository policy is needed" if made["requests"] else "nothing to allow"
        )
        console.print(f"{made['requests']:,} allowed requests are recorded in that time: {why}")
        return
    console.print(f"made from {made['requests']:,} allowed requests")
    if made["keptDenies"]:
        console.print(f"{made['keptDenies']} Deny statements of the policy in force are kept")
    for condition in made["dropped"]:
        console.print(Text(f"dropped: {condition}", "yellow"))
    for name in made["gone"]:
        console.print(f"[yellow]{name} used it and is no longer there: left out[/]")
    if made["tooLong"]:
        console.print("[bold red]longer than a repository policy may be (10,240 characters): name accounts instead[/]")
    for finding in made["findings"]:
        console.print(f"lint: {finding}", markup=False)
    report = made["replay"]
    if identity is not None:
        lost = made["unallowed"]
        console.print(f"[red]{lost:,} different requests need more[/]" if lost else "all of them are allowed by it")
    elif report is not None:
        lost, gained = report["lostRequests"], report["gainedRequests"]
        console.print(f"replayed: {report['stillAllowed']:,} requests stay allowed, {lost:,} would be lost")
        if gained:
            console.print(f"[yellow]{gained:,} denied requests would be allowed (moorage policy try tells which)[/]")
