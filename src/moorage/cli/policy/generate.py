"""`moorage policy generate`: generates the smallest policy that allows the recorded requests."""

import enum
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from moorage.analysis.generated_policy import GeneratedPolicy, GenerateLine
from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import connect, lines_as
from moorage.cli.json_text import indented
from moorage.cli.policy.progress_bar import last_line


class Conditions(enum.StrEnum):
    """The conditions that the generated statements have."""

    SOURCE_IP = "source-ip"


def generate(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository that was used.")],
    last: Annotated[str, typer.Option("--last", "-l", help="How far to look back: 24h, 30d, 12w.")] = "30d",
    since: Annotated[str | None, typer.Option("--since", help="Start, in place of --last: 2026-11-25.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End. Default: now.")] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity", help="Generate the identity policy of this user or role (ARN), not the repository's policy."
        ),
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Also grant what identity policies of the account grant already.")
    ] = False,
    conditions: Annotated[
        Conditions | None,
        typer.Option("--conditions", help="source-ip: only grant access from the networks that were used."),
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account of the repository. Default: your own.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the policy and everything known about it as JSON.")
    ] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Generate the smallest policy that allows the recorded requests. Nothing is changed.

    The policy is written to standard output, notes about it to standard error. A replay proves that recorded requests
    that were allowed stay allowed. Deny statements of the policy in force are kept. You need moorage:ReplayPolicy.

    Examples:

      moorage policy generate team/app --last 30d > policy.json

      moorage policy generate team/app --conditions source-ip

      moorage policy generate team/app --identity arn:aws:iam::111122223333:user/ci
    """
    client = connect(data=data, port=port, profile=profile)
    now = time.time()
    request = {
        "repository": repository,
        "account": account,
        "since": times.moment(since, now) if since is not None else now - times.span(last),
        "until": None if until is None else times.moment(until, now),
        "identity": identity,
        "everybody": everybody,
        "by_network": conditions is Conditions.SOURCE_IP,
    }
    lines = lines_as(GenerateLine, client, "/_moorage/policy/generate", request)
    generated = last_line(lines, "reading the record", lambda line: line.generated)
    if as_json:
        typer.echo(indented(generated))
    elif generated.policy is not None:
        typer.echo(generated.policy)
    _print_notes(Console(stderr=True, highlight=False, soft_wrap=True), generated, is_identity=identity is not None)
    if generated.policy is None:
        raise typer.Exit(1)


def _print_notes(console: Console, generated: GeneratedPolicy, *, is_identity: bool) -> None:
    if generated.policy is None:
        reason = "identity policies allow all of them, so no repository policy is needed"
        reason = reason if generated.requests else "there is nothing to allow"
        console.print(f"{generated.requests:,} allowed requests are recorded in that time: {reason}")
        return
    console.print(f"generated from {generated.requests:,} allowed requests")
    if generated.kept_denies:
        console.print(f"{generated.kept_denies} Deny statements of the policy in force are kept")
    for condition in generated.dropped:
        console.print(Text(f"dropped: {condition}", "yellow"))
    for name in generated.gone:
        console.print(f"[yellow]{name} made requests but no longer exists, and is left out[/]")
    if generated.too_long:
        console.print("[bold red]longer than a repository policy may be (10,240 characters): name accounts instead[/]")
    for finding in generated.findings:
        console.print(f"lint: {finding}", markup=False)
    report = generated.replay
    if is_identity:
        lost = generated.unallowed
        console.print(f"[red]{lost:,} different requests need more[/]" if lost else "it allows all of them")
    elif report is not None:
        console.print(
            f"replayed: {report.still_allowed:,} requests stay allowed, {report.lost_requests:,} would be lost"
        )
        if report.gained_requests:
            gained = report.gained_requests
            console.print(f"[yellow]{gained:,} denied requests would be allowed; moorage policy try lists them[/]")
