"""`moorage policy try`: shows who would lose and who would gain access if a proposed policy had been in force."""

import enum
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from moorage.analysis.replay_report import ChangedAccess, ReplayLine, ReplayReport
from moorage.cli import options
from moorage.cli.audit import times
from moorage.cli.client.calls import connect, lines_as
from moorage.cli.json_text import indented
from moorage.cli.policy.files import read_policy
from moorage.cli.policy.progress_bar import last_line

_MAX_LISTED: Final = 20


class Against(enum.StrEnum):
    """What the proposed policy is compared with."""

    IN_FORCE = "in-force"
    RECORDED = "recorded"


def try_(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository that the policy is for.")],
    policy: Annotated[
        str | None, typer.Argument(metavar="POLICY.json", help="The proposed policy; - reads standard input.")
    ] = None,
    no_policy: Annotated[bool, typer.Option("--no-policy", help="Try what deleting the policy would change.")] = False,
    last: Annotated[str, typer.Option("--last", "-l", help="How far to look back: 24h, 7d, 4w.")] = "7d",
    since: Annotated[str | None, typer.Option("--since", help="Start, in place of --last: 2026-11-25.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End. Default: now.")] = None,
    against: Annotated[
        Against,
        typer.Option(help="Compare with the policy in force, or with the decisions that were made at the time."),
    ] = Against.IN_FORCE,
    account: Annotated[str | None, typer.Option(help="Account of the repository. Default: your own.")] = None,
    fail_on_loss: Annotated[bool, typer.Option("--fail-on-loss", help="Exit 1 if anyone would lose access.")] = False,
    fail_on_gain: Annotated[bool, typer.Option("--fail-on-gain", help="Exit 1 if anyone would gain access.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    data: options.Data = None,
    port: options.ServerPort = None,
    profile: options.AwsProfile = None,
) -> None:
    """Try a repository policy on recorded requests, and show who would lose and who would gain access.

    The server evaluates the recorded requests again, with the proposed policy in place of the repository's. Nothing is
    changed. You need moorage:ReplayPolicy on the repository; the account's root user has it.

    Examples:

      moorage policy try team/app policy.json --last 30d

      moorage policy try team/app policy.json --fail-on-loss --json

      moorage policy try team/app --no-policy
    """
    if (policy is None) is not no_policy:
        raise typer.BadParameter(
            "name the file with the proposed policy, or pass --no-policy", param_hint="POLICY.json"
        )
    client = connect(data=data, port=port, profile=profile)
    now = time.time()
    request = {
        "repository": repository,
        "policy": None if policy is None else read_policy(policy),
        "account": account,
        "since": times.moment(since, now) if since is not None else now - times.span(last),
        "until": None if until is None else times.moment(until, now),
        "against": against.value,
    }
    lines = lines_as(ReplayLine, client, "/_moorage/policy/try", request)
    report = last_line(lines, "replaying", lambda line: line.report)
    if as_json:
        typer.echo(indented(report))
    else:
        _show(Console(highlight=False, soft_wrap=True), report, against)
    if (fail_on_loss and report.lost_requests) or (fail_on_gain and report.gained_requests):
        raise typer.Exit(1)


def _show(console: Console, report: ReplayReport, against: Against) -> None:
    if not report.requests:
        console.print(
            "No request to this repository is recorded in that time, so there is nothing to try the policy on."
        )
        return
    compared = "how they are decided now" if against is Against.IN_FORCE else "how they were decided"
    console.print(
        f"{_counted(report.requests, 'request')} tried ({_counted(report.decisions, 'recorded decision')}), "
        f"compared with {compared}:"
    )
    _show_changes(console, "lose access", "red", report.lost_principals, report.lost_requests, report.lost)
    _show_changes(console, "gain access", "yellow", report.gained_principals, report.gained_requests, report.gained)
    console.print(
        f"\nNothing changes for {_counted(report.unchanged_principals, 'principal')}: of their requests "
        f"{report.still_allowed:,} stay allowed, {report.still_denied:,} stay denied"
    )
    for each in report.unchanged[:_MAX_LISTED]:
        console.print(f"  {each.principal}  {each.allowed:,} allowed, {each.denied:,} denied", style="dim")
    if report.decided_otherwise and against is Against.IN_FORCE:
        console.print(
            f"\n{_counted(report.decided_otherwise, 'request')} decided differently at the time, because the policies "
            "have changed since. To compare with those decisions: --against recorded"
        )
    if report.unreadable:
        console.print(f"\nLeft out, because the record is incomplete: {_counted(report.unreadable, 'decision')}")


def _show_changes(
    console: Console, what: str, color: str, principals: int, requests: int, changes: list[ChangedAccess]
) -> None:
    if not principals:
        console.print(f"\n[green]Nobody would {what}[/]")
        return
    who = _counted(principals, "principal")
    console.print(f"\n[bold {color}]{who} would {what}[/], {_counted(requests, 'request')}")
    for line in _lines(changes[:_MAX_LISTED]):
        console.print(line)
    if len(changes) > _MAX_LISTED:
        console.print(f"  … and {len(changes) - _MAX_LISTED:,} more (--json lists all)", style="dim")


def _lines(changes: list[ChangedAccess]) -> Iterator[Text]:
    principal = None
    for each in changes:
        if each.principal != principal:
            principal = each.principal
            yield Text(f"  {principal}", "bold")
        yield Text(f"    {each.action}  {each.requests:,}×, {each.first} to {each.last}")
        example = each.examples[0]
        yield Text(f"      {example.reason}", "dim")
        source = f" from {example.source_ip}" if example.source_ip else ""
        yield Text(f"      e.g. {example.time}{source}: moorage why {example.decision}", "dim")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
